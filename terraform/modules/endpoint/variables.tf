# Required

variable "name" {
  type        = string
  description = "Name of the endpoint; it stays the same through every change of model."
}

variable "account" {
  type        = string
  description = "Account that the execution role may be assumed from."
}

variable "partition" {
  type        = string
  description = "AWS partition, such as aws."
}

variable "repository" {
  type        = object({ name = string, arn = string })
  description = "The repository of serving images."
}

variable "log_group_arn" {
  type        = string
  description = "ARN of the endpoint's log group, /aws/sagemaker/Endpoints/<name>."
}

variable "bucket" {
  type        = object({ name = string, arn = string })
  description = "Bucket with the artifacts under models/; captured requests go under capture/."
}

variable "key" {
  type = object({
    arn               = string
    reference         = string
    resources         = list(string)
    conditions        = map(map(list(string)))
    conditions_via_s3 = map(map(list(string)))
  })
  description = <<-EOT
    The KMS key.
    reference: known before the key exists; the configuration's name depends on it.
    resources, conditions: how policies recognise the key; conditions_via_s3: the same, used through S3 only.
  EOT
}

variable "model" {
  type        = object({ artifact_uri = string, sha256 = string, image_uri = string })
  description = "What is served; null switches the endpoint off."
}

variable "answers_judged_by" {
  type        = string
  description = "Alias of the function that judges the answers: it gets a model's threshold before the model answers."
}

variable "hosting" {
  type = object({
    instance_type      = string
    instance_count     = number
    scaling            = object({ min = number, max = number, target = number })
    serverless         = object({ memory_mb = number, max_concurrency = number })
    capture_percentage = number
    blue_green         = object({ traffic = string, percent = number, wait_seconds = number })
  })
  description = "How it is hosted, as the root's variable endpoint says."
}

variable "log_retention_days" {
  type        = number
  description = "Days that logs are kept."
}

variable "protect_data" {
  type        = bool
  description = "Whether destroy keeps a repository that still holds images."
}

# Optional

variable "permissions_boundary_arn" {
  type        = string
  default     = null
  description = "ARN of the policy that bounds the role; null sets none."
}
