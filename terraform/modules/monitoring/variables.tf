# Required

variable "prefix" {
  type        = string
  description = "First part of the names of alarms and dashboard, and the namespace of the functions' own metrics."
}

variable "region" {
  type        = string
  description = "Region whose metrics the dashboard shows."
}

variable "alarms" {
  type = map(object({
    what       = string
    do         = string
    section    = string
    threshold  = number
    label      = optional(string)
    expression = optional(string)
    metrics = map(object({
      namespace      = string
      name           = string
      dimensions     = map(string)
      statistic      = string
      period_seconds = number
    }))
    comparison   = optional(string, "GreaterThanOrEqualToThreshold")
    periods      = optional(number, 1)
    datapoints   = optional(number)
    missing_data = optional(string, "notBreaching")
    alert_path   = optional(bool, false)
  }))
  description = <<-EOT
    Alarms by name.
    what, do, section: what it means, what to do, and the section of the runbook.
    metrics, expression: metrics by id, and an expression over them where one metric is not enough.
    datapoints: how many of the periods must break the threshold; all unless it is set.
    label: the unit of the value in an alert's subject.
    alert_path: whether it watches the alerts themselves and publishes to the alarms topic.
  EOT
}

variable "alarms_topic_arn" {
  type        = string
  description = "ARN of the unfiltered topic for alarms on the alert path itself."
}

variable "runbook_url" {
  type        = string
  description = "Address of the page whose sections the alarms name."
}

variable "functions" {
  type        = map(string)
  description = "Names of the functions by folder, for the dashboard."
}

variable "state_machine_arns" {
  type        = map(string)
  description = "ARNs of the state machines by name, for the dashboard."
}

variable "queues" {
  type        = list(string)
  description = "Names of the dead-letter queues, for the dashboard."
}

variable "alarms_arn_base" {
  type        = string
  description = "First part of the alarms' ARNs, for the dashboard."
}

# Optional

variable "endpoint" {
  type        = string
  default     = null
  description = "Name of the endpoint, for the dashboard; null while there is none."
}
