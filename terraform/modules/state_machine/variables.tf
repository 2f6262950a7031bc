# Required

variable "name" {
  type        = string
  description = "Name of the state machine and its role."
}

variable "arn" {
  type        = string
  description = "ARN of the state machine, which its role's trust and its trigger name."
}

variable "account" {
  type        = string
  description = "Account that the roles may be assumed from."
}

variable "definition_file" {
  type        = string
  description = "Path of the machine's .asl.json. In it, a path in quotes stands for that file, from the same folder."
}

variable "tokens" {
  type        = map(string)
  description = "What each <<token>> in the definition stands for."
}

variable "statements" {
  type = list(object({
    sid        = string
    actions    = list(string)
    resources  = list(string)
    conditions = optional(map(map(list(string))), {})
  }))
  description = "What the machine may do besides logging and tracing."
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

variable "trigger" {
  type = object({
    rule             = string
    rule_arn         = string
    dead_letters     = string
    dead_letters_arn = string
    bucket           = string
    prefix           = string
    enabled          = bool
  })
  default     = null
  description = <<-EOT
    Starts the machine for each new object under prefix in bucket, by an EventBridge rule of the given name.
    What cannot be delivered lands in the dead-letter queue. null: nothing starts it.
  EOT
}

variable "permissions_boundary_arn" {
  type        = string
  default     = null
  description = "ARN of the policy that bounds the roles; null sets none."
}
