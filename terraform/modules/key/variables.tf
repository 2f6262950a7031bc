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

variable "log_group_arns" {
  type        = list(string)
  description = "ARNs of the log groups that the key encrypts."
}

variable "alarm_arns" {
  type        = list(string)
  description = "ARNs of the alarms that may publish to encrypted topics."
}

variable "deletion_window_days" {
  type        = number
  description = "Days in which a deleted key can be rescued, 7 to 30."
}
