resource "aws_iam_openid_connect_provider" "github" {
  for_each = var.existing_oidc_provider_arn == null ? toset(["github"]) : toset([])

  url            = "https://${local.github}"
  client_id_list = ["sts.amazonaws.com"]
}

locals {
  # The subjects that GitHub's token must have: https://docs.github.com/en/actions/reference/security/oidc
  subjects = merge(
    { plan = ["repo:${var.github_repository}:pull_request", "repo:${var.github_repository}:ref:refs/heads/main"] },
    { for name in var.environments : "apply-${name}" => ["repo:${var.github_repository}:environment:${name}"] },
  )
  readers = merge([for name in var.environments : { for role in ["plan", "apply-${name}"] :
    "${role}/${name}" => { role = role, environment = name }
  }]...)
}

resource "aws_iam_role" "github" {
  for_each = local.subjects

  name                 = "${var.project}-${each.key}"
  path                 = "/ci/" # out of reach of the roles' patterns: no deployment may change who deploys
  description          = "Assumed by workflows of ${var.github_repository}: ${join(", ", each.value)}"
  max_session_duration = 3600

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "LetWorkflowsAssume"
        Effect    = "Allow"
        Principal = { Federated = local.provider_arn }
        Action    = "sts:AssumeRoleWithWebIdentity"
        Condition = {
          StringEquals = {
            "${local.github}:aud" = "sts.amazonaws.com"
            "${local.github}:sub" = each.value
          }
        }
      },
    ]
  })

  depends_on = [aws_iam_openid_connect_provider.github]
}

# A role that applies an environment also plans it.
resource "aws_iam_role_policy_attachment" "environment_read" {
  for_each = local.readers

  role       = aws_iam_role.github[each.value.role].name
  policy_arn = aws_iam_policy.environment_read[each.value.environment].arn
}

resource "aws_iam_role_policy_attachment" "read_watch" {
  for_each = local.readers

  role       = aws_iam_role.github[each.value.role].name
  policy_arn = aws_iam_policy.read_watch[each.value.environment].arn
}

resource "aws_iam_role_policy_attachment" "deploy" {
  for_each = var.environments

  role       = aws_iam_role.github["apply-${each.key}"].name
  policy_arn = aws_iam_policy.deploy[each.key].arn
}

resource "aws_iam_role_policy_attachment" "access" {
  for_each = var.environments

  role       = aws_iam_role.github["apply-${each.key}"].name
  policy_arn = aws_iam_policy.access[each.key].arn
}

resource "aws_iam_role_policy_attachment" "deploy_watch" {
  for_each = var.environments

  role       = aws_iam_role.github["apply-${each.key}"].name
  policy_arn = aws_iam_policy.deploy_watch[each.key].arn
}
