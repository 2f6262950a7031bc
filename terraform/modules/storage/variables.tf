variable "bucket" {
  type        = object({ name = string, arn = string })
  description = "The bucket that holds pictures, models, captured requests and results."
}

variable "ledger" {
  type        = string
  description = "Name of the table with one row for each picture's version."
}

variable "key_arn" {
  type        = string
  description = "ARN of the KMS key that encrypts both."
}

variable "retention_days" {
  type        = number
  description = "Days that captured requests and results are kept."
}

variable "protect_data" {
  type        = bool
  description = "Whether destroy keeps a bucket with content and the ledger."
}
