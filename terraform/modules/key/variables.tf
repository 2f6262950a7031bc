variable "alias" {
  type        = string
  description = "Alias of the key; IAM policies recognise the key by it, because its id is unknown before it exists."
}

variable "account" {
  type        = string
  description = "Account whose IAM policies decide who uses the key."
}

variable "partition" {
  type        = string
  description = "AWS partition, such as aws."
}

variable "region" {
  type        = string
  description = "Region whose CloudWatch Logs may use the key."
}

variable "log_groups_arn_pattern" {
  type        = string
  description = "ARN pattern of the log groups that the key encrypts."
}

variable "alarms_arn_pattern" {
  type        = string
  description = "ARN pattern of the alarms that may publish to encrypted topics."
}

variable "deletion_window_days" {
  type        = number
  description = "Days in which a deleted key can be rescued, 7 to 30."
}
