# The KMS key that encrypts pictures, models, ledger, logs and alerts.

module "key" {
  source   = "./modules/key"
  for_each = var.existing_key_arn == null ? toset(["project"]) : toset([])

  alias                = local.names.key_alias
  account              = local.account
  partition            = local.partition
  region               = var.region
  log_group_arns       = local.arns.log_groups
  alarm_arns           = values(local.alert_path_alarm_arns)
  deletion_window_days = var.protect_data ? 30 : 7
}

locals {
  key_arn = coalesce(var.existing_key_arn, one(values(module.key)[*].arn))

  # A key of our own gets its id when it is created, so policies recognise it by its alias.
  key_resources = [coalesce(var.existing_key_arn, "${local.arn_base.kms}:key/*")]
  key_conditions = {
    for operator, test in { "ForAnyValue:StringEquals" = { "kms:ResourceAliases" = [local.names.key_alias] } } :
    operator => test if var.existing_key_arn == null
  }

  # The same, for a key that is used through one service only.
  key_conditions_via = { for service in ["dynamodb", "s3", "sns"] : service => merge(
    local.key_conditions,
    { StringEquals = { "kms:ViaService" = ["${service}.${var.region}.amazonaws.com"] } },
  ) }
}
