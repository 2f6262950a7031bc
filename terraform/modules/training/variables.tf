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

variable "region" {
  type        = string
  description = "AWS region, whose S3 the key is used through."
}

variable "bucket_arn" {
  type        = string
  description = "ARN of the bucket: data under training/data/, each job's code, checkpoints and output under training/<job>/."
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
  type        = object({ resources = list(string), conditions = map(map(list(string))) })
  description = "How policies recognise the KMS key of the bucket."
}

# Optional

variable "permissions_boundary_arn" {
  type        = string
  default     = null
  description = "ARN of the policy that bounds the role; null sets none."
}
