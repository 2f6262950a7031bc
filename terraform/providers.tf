provider "aws" {
  region = var.region

  # One machine has no DNS name for each bucket.
  s3_use_path_style = var.environment == "local"

  default_tags {
    tags = merge(var.tags, {
      project     = var.project
      environment = var.environment
      managed_by  = "terraform"
    })
  }
}
