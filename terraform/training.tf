# What training jobs run in, and what they may do.

module "training" {
  source = "./modules/training"

  name                     = local.names.training
  account                  = local.account
  partition                = local.partition
  bucket_arn               = local.arns.bucket
  log_group_arn            = "${local.arn_base.logs}:log-group:/aws/sagemaker/TrainingJobs"
  image_uri                = local.training_image_uri
  key                      = { resources = local.key_resources, conditions_via_s3 = local.key_conditions_via["s3"] }
  permissions_boundary_arn = var.permissions_boundary_arn
}

locals {
  # AWS's own PyTorch container, which most regions offer from this account.
  aws_training_registry = "763104351884.dkr.ecr.${var.region}.${data.aws_partition.current.dns_suffix}"
  training_image_uri = coalesce(
    var.training_image_uri,
    "${local.aws_training_registry}/pytorch:2.14.0-cu133-amzn2023-sagemaker",
  )
}
