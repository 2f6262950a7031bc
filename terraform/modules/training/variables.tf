# Required

variable "name" {
  type        = string
  description = "Name of the role; the names of the jobs that may use it begin with it and a dash."
}

variable "account" {
  type        = string
  description = "Account that the role may be assumed from."
}

variable "partition" {
  type        = string
  description = "AWS partition, such as aws."
}

variable "bucket_arn" {
  type        = string
  description = <<-EOT
    ARN of the bucket: data under training/data/, each job's code, checkpoints and output under training/<job>/.
  EOT
}

variable "log_group_arn" {
  type        = string
  description = "ARN of the log group of all training jobs, /aws/sagemaker/TrainingJobs."
}

variable "image_uri" {
  type        = string
  description = "Image that jobs run in, by its address in ECR."
}

variable "key" {
  type        = object({ resources = list(string), conditions_via_s3 = map(map(list(string))) })
  description = "How policies recognise the KMS key of the bucket, used through S3 only."
}

# Optional

variable "permissions_boundary_arn" {
  type        = string
  default     = null
  description = "ARN of the policy that bounds the role; null sets none."
}
