module "key" {
  source   = "./modules/key"
  for_each = var.existing_key_arn == null ? toset(["project"]) : toset([])

  alias                = local.names.key_alias
  account              = local.account
  partition            = local.partition
  region               = var.region
  log_group_arns       = local.arns.log_groups
  alarm_arns           = local.arns.alert_path_alarms
  deletion_window_days = var.protect_data ? 30 : 7
}

module "storage" {
  source = "./modules/storage"

  bucket         = local.names.bucket
  bucket_arn     = local.arns.bucket
  ledger         = local.names.ledger
  key_arn        = local.key_arn
  retention_days = var.ledger_retention_days
  protect_data   = var.protect_data
}

module "function" {
  source   = "./modules/function"
  for_each = local.functions

  name                     = local.names.functions[each.key]
  description              = each.value.description
  handler                  = "functions.${each.key}.handler.lambda_handler"
  package                  = "${var.package_dir}/${each.key}.zip"
  runtime                  = local.packages.runtime
  architecture             = local.packages.architecture
  memory_mb                = each.value.memory_mb
  timeout_seconds          = each.value.timeout_seconds
  statements               = each.value.statements
  alias                    = local.live
  log_group_arn            = "${local.arn_base.logs}:log-group:/aws/lambda/${local.names.functions[each.key]}"
  log_retention_days       = var.log_retention_days
  key_arn                  = local.key_arn
  permissions_boundary_arn = var.permissions_boundary_arn

  environment = merge(each.value.environment, {
    POWERTOOLS_LOG_LEVEL         = "INFO"
    POWERTOOLS_METRICS_NAMESPACE = local.prefix
    POWERTOOLS_SERVICE_NAME      = each.key
  })
}

module "endpoint" {
  source = "./modules/endpoint"

  name                     = local.names.endpoint
  account                  = local.account
  partition                = local.partition
  region                   = var.region
  repository               = local.names.repository
  repository_arn           = "${local.arn_base.ecr}:repository/${local.names.repository}"
  log_group_arn            = "${local.arn_base.logs}:log-group:/aws/sagemaker/Endpoints/${local.names.endpoint}"
  bucket                   = module.storage.bucket
  bucket_arn               = local.arns.bucket
  model                    = local.served_model
  answers_judged_by        = module.function["filter_inferences"].alias
  hosting                  = var.endpoint
  log_retention_days       = var.log_retention_days
  protect_data             = var.protect_data
  permissions_boundary_arn = var.permissions_boundary_arn

  key = {
    arn        = local.key_arn
    reference  = coalesce(var.existing_key_arn, local.names.key_alias)
    resources  = local.key_resources
    conditions = local.key_conditions
  }
}

module "budget" {
  source   = "./modules/budget"
  for_each = var.monthly_budget_usd == null ? toset([]) : toset(["monthly"])

  name        = local.prefix
  limit_usd   = var.monthly_budget_usd
  project     = var.project
  subscribers = [for address, categories in var.subscribers : address if contains(categories, "alarm")]
}

module "training" {
  source = "./modules/training"

  name                     = local.names.training
  account                  = local.account
  partition                = local.partition
  region                   = var.region
  bucket_arn               = local.arns.bucket
  log_group_arn            = "${local.arn_base.logs}:log-group:/aws/sagemaker/TrainingJobs"
  image_uri                = local.training_image_uri
  key                      = { resources = local.key_resources, conditions = local.key_conditions }
  permissions_boundary_arn = var.permissions_boundary_arn
}

module "state_machine" {
  source   = "./modules/state_machine"
  for_each = local.state_machines

  name                     = local.names.state_machines[each.key]
  arn                      = local.arns.state_machines[each.key]
  account                  = local.account
  definition_file          = "${path.root}/../statemachine/${each.value.definition}"
  statements               = each.value.statements
  trigger                  = each.value.trigger
  log_retention_days       = var.log_retention_days
  key_arn                  = local.key_arn
  permissions_boundary_arn = var.permissions_boundary_arn

  tokens = merge(local.arns.live_functions, {
    ledger_table           = local.names.ledger
    ledger_retention_days  = var.ledger_retention_days
    alert_dead_letters_url = local.alert_dead_letters_url
    bucket                 = local.names.bucket
    batch_children         = local.batch_children
  })

  # The trigger must not start the machine before what it calls is there.
  depends_on = [module.endpoint, module.function]
}

module "alerts" {
  source = "./modules/alerts"

  alerts_topic          = local.names.alerts_topic
  alerts_topic_arn      = local.arns.alerts_topic
  alarms_topic          = local.names.alarms_topic
  alarms_topic_arn      = local.arns.alarms_topic
  dead_letters          = local.names.alert_dead_letters
  dead_letters_arn      = local.arns.alert_dead_letters
  unfinished_rule       = local.names.unfinished_rule
  unfinished_rule_arn   = local.arns.unfinished_rule
  unsettled_rule        = local.names.unsettled_rule
  unsettled_rule_arn    = local.arns.unsettled_rule
  alarms_rule           = local.names.alarms_rule
  alarms_rule_arn       = local.arns.alarms_rule
  alert_path_alarms     = [for name, alarm in local.alarms : "${local.prefix}-${name}" if try(alarm.alert_path, false)]
  schedule_arns         = values(local.arns.schedules)
  alarms_arn_pattern    = local.arns.alarms
  alert_path_alarm_arns = local.arns.alert_path_alarms
  state_machine_arns    = [for name, arn in local.arns.state_machines : arn if name != "unfinished"]
  settler_arn           = local.arns.state_machines["unfinished"]
  subscribers           = var.subscribers
  account               = local.account
  key_arn               = local.key_arn

  permissions_boundary_arn = var.permissions_boundary_arn

  send_alert = {
    name  = module.function["send_alert"].name
    alias = module.function["send_alert"].alias
    arn   = local.arns.live_functions["send_alert"]
  }
}

module "schedule" {
  source   = "./modules/schedule"
  for_each = local.schedules

  name             = local.names.schedules[each.key]
  arn              = local.arns.schedules[each.key]
  description      = each.value.description
  hours            = each.value.hours
  enabled          = each.value.enabled
  input            = each.value.input
  dead_letters_arn = local.arns.alert_dead_letters
  keep_failed      = each.value.function != "send_alert"

  function = {
    name  = module.function[each.value.function].name
    alias = module.function[each.value.function].alias
    arn   = local.arns.live_functions[each.value.function]
  }

  # What it cannot deliver must be kept from the first call on.
  depends_on = [module.alerts]
}

module "monitoring" {
  source = "./modules/monitoring"

  prefix             = local.prefix
  region             = var.region
  alarms             = local.alarms
  alarms_arn_base    = "${local.arn_base.cloudwatch}:alarm"
  alarms_topic_arn   = local.arns.alarms_topic
  runbook_url        = var.runbook_url
  functions          = local.names.functions
  state_machine_arns = local.arns.state_machines
  queues             = [local.names.alert_dead_letters, local.names.trigger_dead_letters]
  endpoint           = local.served_model == null ? null : local.names.endpoint
}
