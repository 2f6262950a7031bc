# The endpoint, and the registry of its images.

module "endpoint" {
  source = "./modules/endpoint"

  name                     = local.names.endpoint
  account                  = local.account
  partition                = local.partition
  repository               = { name = local.names.repository, arn = local.arns.repository }
  log_group_arn            = "${local.arn_base.logs}:log-group:/aws/sagemaker/Endpoints/${local.names.endpoint}"
  bucket                   = { name = module.storage.bucket, arn = local.arns.bucket }
  model                    = local.served_model
  answers_judged_by        = module.function["filter_inferences"].alias
  hosting                  = var.endpoint
  log_retention_days       = var.log_retention_days
  protect_data             = var.protect_data
  permissions_boundary_arn = var.permissions_boundary_arn

  key = {
    arn               = local.key_arn
    reference         = coalesce(var.existing_key_arn, local.names.key_alias)
    resources         = local.key_resources
    conditions        = local.key_conditions
    conditions_via_s3 = local.key_conditions_via["s3"]
  }
}

locals {
  # What the endpoint serves; null where there is no endpoint.
  served_model = var.endpoint.enabled ? var.model : null
}
