# Required

variable "name" {
  type        = string
  description = "Name of the function and its role."
}

variable "description" {
  type        = string
  description = "What the function does, in one sentence."
}

variable "handler" {
  type        = string
  description = "Python path of the handler inside the zip."
}

variable "package" {
  type        = string
  description = "Path of the zip; its hash decides whether a new version is published."
}

variable "runtime" {
  type        = string
  description = "Lambda runtime that the zip was built for, such as python3.13."
}

variable "architecture" {
  type        = string
  description = "Processor that the zip was built for: arm64 or x86_64."
}

variable "memory_mb" {
  type        = number
  description = "Memory (MB); processor time grows with it."
}

variable "timeout_seconds" {
  type        = number
  description = "Longest run (seconds)."
}

variable "environment" {
  type        = map(string)
  description = "Environment variables."
}

variable "statements" {
  type = list(object({
    sid        = string
    actions    = list(string)
    resources  = list(string)
    conditions = optional(map(map(list(string))), {})
  }))
  description = "What the function may do in addition to logging and tracing."
}

variable "alias" {
  type        = string
  description = "Alias that callers use; it points at the newest published version."
}

variable "log_group_arn" {
  type        = string
  description = "ARN of the function's log group, /aws/lambda/<name>."
}

variable "log_retention_days" {
  type        = number
  description = "Days that logs are kept."
}

variable "key_arn" {
  type        = string
  description = "ARN of the KMS key that encrypts the logs."
}

# Optional

variable "permissions_boundary_arn" {
  type        = string
  default     = null
  description = "ARN of the policy that bounds the role; null sets none."
}
