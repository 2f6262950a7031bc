# Always there, because an image must exist before the first model can name it.
resource "aws_ecr_repository" "serving" {
  name                 = var.repository.name
  image_tag_mutability = "IMMUTABLE"
  force_delete         = !var.protect_data

  encryption_configuration {
    encryption_type = "KMS"
    kms_key         = var.key.arn
  }

  image_scanning_configuration {
    scan_on_push = true
  }
}

# Tagged images stay: a rollback may need any of them.
resource "aws_ecr_lifecycle_policy" "serving" {
  repository = aws_ecr_repository.serving.name

  policy = jsonencode({
    rules = [
      {
        rulePriority = 1
        description  = "Drop what an unfinished push left behind"
        selection    = { tagStatus = "untagged", countType = "sinceImagePushed", countUnit = "days", countNumber = 14 }
        action       = { type = "expire" }
      },
    ]
  })
}
