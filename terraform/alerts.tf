# How people hear of what happened: topics, subscriptions, and the events that are alerts by themselves.

module "alerts" {
  source = "./modules/alerts"

  topics = {
    alerts = { name = local.names.alerts_topic, arn = local.arns.alerts_topic }
    alarms = { name = local.names.alarms_topic, arn = local.arns.alarms_topic }
  }
  rules = {
    alarms     = { name = local.names.alarms_rule, arn = local.arns.alarms_rule }
    unfinished = { name = local.names.unfinished_rule, arn = local.arns.unfinished_rule }
    unsettled  = { name = local.names.unsettled_rule, arn = local.arns.unsettled_rule }
  }
  dead_letters = { name = local.names.alert_dead_letters, arn = local.arns.alert_dead_letters }

  send_alert = {
    name  = module.function["send_alert"].name
    alias = module.function["send_alert"].alias
    arn   = local.arns.live_functions["send_alert"]
  }

  schedule_arns            = values(local.arns.schedules)
  alarms_arn_pattern       = local.arns.alarms
  alert_path_alarm_arns    = local.alert_path_alarm_arns
  state_machine_arns       = [for name, arn in local.arns.state_machines : arn if name != "unfinished"]
  reconciler_arn           = local.arns.state_machines["unfinished"]
  subscribers              = var.subscribers
  account                  = local.account
  key_arn                  = local.key_arn
  permissions_boundary_arn = var.permissions_boundary_arn
}
