# The most that any role of an environment may ever do, whatever a plan grants it: use that environment's resources,
# build nothing, and never touch a state. The roles' own policies (terraform/) allow far less.

resource "aws_iam_policy" "environment_boundary" {
  for_each = var.environments

  name        = "${var.project}-boundary-${each.key}"
  description = "Bounds every role that Terraform makes for ${local.prefixes[each.key]}"

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid    = "UseOwnResources"
        Effect = "Allow"
        Action = [
          "dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:Query", "dynamodb:Scan", "dynamodb:UpdateItem",
          "lambda:InvokeFunction", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents",
          "s3:AbortMultipartUpload", "s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket",
          "s3:ListMultipartUploadParts", "s3:PutObject", "sagemaker:InvokeEndpoint", "sns:Publish", "sqs:SendMessage",
          "states:DescribeExecution", "states:StartExecution",
        ]
        Resource = flatten([
          [for kind in [
            "bucket", "endpoint", "executions", "log_streams", "machines", "queues", "table", "topics", "versions",
          ] : local.arns[each.key][kind]],
          "${local.arns[each.key].bucket}/*", "${local.arns[each.key].table}/index/*", local.training_streams[each.key],
          # The endpoint's role also names its log group.
          "${local.arn_base.logs}:log-group:/aws/sagemaker/Endpoints/${local.prefixes[each.key]}-classifier",
        ])
      },
      {
        Sid      = "FindLogGroupOfTrainingJobs"
        Effect   = "Allow"
        Action   = ["logs:CreateLogGroup", "logs:DescribeLogStreams"]
        Resource = [local.training_logs, "${local.training_logs}:*"]
      },
      {
        # An existing key may take the place of the environment's own, so its alias is not known here.
        Sid       = "UseKeys"
        Effect    = "Allow"
        Action    = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"]
        Resource  = [local.keys]
        Condition = { StringEquals = local.tags[each.key] }
      },
      {
        Sid       = "GrantKeysToVolumes"
        Effect    = "Allow"
        Action    = ["kms:CreateGrant"]
        Resource  = [local.keys]
        Condition = { StringEquals = local.tags[each.key], Bool = { "kms:GrantIsForAWSResource" = "true" } }
      },
      {
        # Training images are in AWS's own accounts, which have other tags or none.
        Sid       = "PullImages"
        Effect    = "Allow"
        Action    = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        Resource  = ["arn:${local.partition}:ecr:*:*:repository/*"]
        Condition = { StringEqualsIfExists = local.tags[each.key] }
      },
      {
        Sid       = "PutMetricsOfHosts"
        Effect    = "Allow"
        Action    = ["cloudwatch:PutMetricData"]
        Resource  = ["*"]
        Condition = { StringLike = { "cloudwatch:namespace" = ["/aws/sagemaker/*"] } }
      },
      {
        # Log deliveries, traces and registry tokens have no resource to name.
        Sid    = "UseWhatHasNoName"
        Effect = "Allow"
        Action = [
          "ecr:GetAuthorizationToken", "logs:CreateLogDelivery", "logs:DeleteLogDelivery",
          "logs:DescribeLogGroups", "logs:DescribeResourcePolicies", "logs:GetLogDelivery", "logs:ListLogDeliveries",
          "logs:PutResourcePolicy", "logs:UpdateLogDelivery", "xray:GetSamplingRules", "xray:GetSamplingTargets",
          "xray:PutTelemetryRecords", "xray:PutTraceSegments",
        ]
        Resource = ["*"]
      },
      {
        Sid      = "KeepAwayFromStates"
        Effect   = "Deny"
        Action   = ["s3:AbortMultipartUpload", "s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket", "s3:PutObject"]
        Resource = [local.state_buckets, "${local.state_buckets}/*"]
      },
    ]
  })
}

# The former boundary, one for the project, bounds roles until their next apply; AWS deletes no policy in use.
removed {
  from = aws_iam_policy.boundary

  lifecycle {
    destroy = false
  }
}
