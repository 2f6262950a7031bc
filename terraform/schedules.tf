# What happens at times: which function is called, and with what. The input's <time> is the time that the schedule
# means, so that a call that is tried again later is about the same hours.

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
      enabled     = local.served_model != null # without an endpoint nothing new is decided
      input       = "{\"check\": \"drift\", \"hours\": ${var.schedules.drift_hours}, \"time\": <time>}"
    }
  }
}
