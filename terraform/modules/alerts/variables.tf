# Required

variable "alerts_topic" {
  type        = string
  description = "Name of the topic that send_alert publishes to; its subscriptions are filtered by category."
}

variable "alerts_topic_arn" {
  type        = string
  description = "ARN of that topic."
}

variable "alarms_topic" {
  type        = string
  description = "Name of the unfiltered topic for alarms on the alert path itself."
}

variable "alarms_topic_arn" {
  type        = string
  description = "ARN of that topic."
}

variable "dead_letters" {
  type        = string
  description = "Name of the queue that keeps alerts which could not be sent."
}

variable "dead_letters_arn" {
  type        = string
  description = "ARN of that queue."
}

variable "unfinished_rule" {
  type        = string
  description = "Name of the rule for executions that ended without reaching a state of their own."
}

variable "unfinished_rule_arn" {
  type        = string
  description = "ARN of that rule."
}

variable "unsettled_rule" {
  type        = string
  description = "Name of the rule for executions of the settling machine that did not succeed."
}

variable "unsettled_rule_arn" {
  type        = string
  description = "ARN of that rule."
}

variable "schedule_arns" {
  type        = list(string)
  description = "ARNs of the scheduled rules whose calls the queue keeps when they cannot be delivered."
}

variable "alarms_rule" {
  type        = string
  description = "Name of the rule for alarms that are told as alerts."
}

variable "alarms_rule_arn" {
  type        = string
  description = "ARN of that rule."
}

variable "alert_path_alarms" {
  type        = list(string)
  description = "Names of the alarms on the alert path itself, which publish to the alarms topic when they go off."
}

variable "alert_path_alarm_arns" {
  type        = list(string)
  description = "ARNs of those alarms."
}

variable "alarms_arn_pattern" {
  type        = string
  description = "ARN pattern of this deployment's alarms."
}

variable "state_machine_arns" {
  type        = list(string)
  description = "State machines whose executions must be settled where their own states could not."
}

variable "settler_arn" {
  type        = string
  description = "State machine that settles them: it records the picture and sends the alert."
}

variable "send_alert" {
  type        = object({ name = string, alias = string, arn = string })
  description = "The function that sends alerts: its name, the alias to invoke, and that alias' ARN."
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
