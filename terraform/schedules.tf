# What runs on a schedule: which function is called, and with what. <time> in the input is the time that the call was
# due, so that a later retry covers the same hours.

module "schedule" {
  source   = "./modules/schedule"
  for_each = local.schedules

  rule             = { name = local.names.schedules[each.key], arn = local.arns.schedules[each.key] }
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

  # The queue must keep what a schedule cannot deliver, from the first call on.
  depends_on = [module.alerts]
}

locals {
  schedules = {
    digest = {
      description = "Sends the digest of the pictures that wait"
      function    = "send_alert"
      hours       = var.schedules.digest_hours
      enabled     = true
      input       = "{\"category\": \"digest\", \"hours\": ${var.schedules.digest_hours}, \"time\": <time>}"
    }
    drift = {
      description = "Compares the latest pictures with the model's baseline"
      function    = "report_drift"
      hours       = var.schedules.drift_hours
      enabled     = local.served_model != null # without an endpoint there are no new decisions
      input       = "{\"check\": \"drift\", \"hours\": ${var.schedules.drift_hours}, \"time\": <time>}"
    }
  }
}
