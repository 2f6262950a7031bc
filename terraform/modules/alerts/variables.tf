# Required

variable "topics" {
  type = object({
    alerts = object({ name = string, arn = string })
    alarms = object({ name = string, arn = string })
  })
  description = <<-EOT
    The two topics.
    alerts: send_alert publishes to it; its subscriptions are filtered by category.
    alarms: unfiltered, for alarms on the alert path itself.
  EOT
}

variable "rules" {
  type = object({
    alarms     = object({ name = string, arn = string })
    unfinished = object({ name = string, arn = string })
    unsettled  = object({ name = string, arn = string })
  })
  description = <<-EOT
    The event rules.
    alarms: alarms that are sent as alerts.
    unfinished: executions that timed out, were aborted, or failed in a way that no state can catch.
    unsettled: executions of the reconciling machine that did not succeed.
  EOT
}

variable "dead_letters" {
  type        = object({ name = string, arn = string })
  description = "Queue that keeps alerts which could not be sent."
}

variable "send_alert" {
  type        = object({ name = string, alias = string, arn = string })
  description = "The function that sends alerts: its name, the alias to invoke, and that alias' ARN."
}

variable "schedule_arns" {
  type        = list(string)
  description = "ARNs of the scheduled rules whose calls the queue keeps when they cannot be delivered."
}

variable "alarms_arn_pattern" {
  type        = string
  description = "ARN pattern of this deployment's alarms."
}

variable "alert_path_alarm_arns" {
  type        = map(string)
  description = "ARNs by name of the alarms on the alert path itself, which publish to the alarms topic."
}

variable "state_machine_arns" {
  type        = list(string)
  description = "State machines whose unfinished executions the reconciling machine takes over."
}

variable "reconciler_arn" {
  type        = string
  description = "The reconciling machine, which records the picture and sends the alert."
}

variable "subscribers" {
  type        = map(list(string))
  description = "E-mail addresses and the categories each receives."
}

variable "account" {
  type        = string
  description = "Account whose alarms may publish."
}

variable "key_arn" {
  type        = string
  description = "ARN of the KMS key that encrypts the topics."
}

# Optional

variable "permissions_boundary_arn" {
  type        = string
  default     = null
  description = "ARN of the policy that bounds the role; null sets none."
}
