# templatefile cannot read JSONata ("{%{" and "${" are its own syntax), so the text is cut at paths and tokens.
locals {
  folder = dirname(var.definition_file)
  path   = "\"[a-z_/]+[.](?:asl[.]json|json|jsonata|txt)\""
  piece  = "${local.path}|\"|[^\"]+"

  # What a quoted path stands for: JSON itself, a JSONata expression, or a text on one line.
  files = {
    for path in fileset(local.folder, "**/*.{json,jsonata,txt}") : "\"${path}\"" => (
      endswith(path, ".json") ? file("${local.folder}/${path}") :
      endswith(path, ".jsonata") ? jsonencode("{% ${trimspace(file("${local.folder}/${path}"))} %}") :
      jsonencode(trimspace(replace(file("${local.folder}/${path}"), "/\\s+/", " ")))
    )
  }
  states = join("", [
    for piece in regexall(local.piece, file(var.definition_file)) : lookup(local.files, piece, piece)
  ])
  # The states of other files have expressions, retries and texts of their own.
  composed = join("", [for piece in regexall(local.piece, local.states) : lookup(local.files, piece, piece)])
  # jsonencode escapes the brackets of tokens.
  plain = replace(replace(local.composed, "\\u003c", "<"), "\\u003e", ">")
  filled = join("", [
    for piece in regexall("<<[a-z_]+>>|<|[^<]+", local.plain) : lookup(local.values, piece, piece)
  ])
  values     = { for name, value in var.tokens : "<<${name}>>" => value }
  unfilled   = distinct(regexall("<<[a-z_]+>>", local.filled))
  missing    = distinct(regexall(local.path, local.filled))
  definition = jsonencode(jsondecode(local.filled))
}

resource "aws_sfn_state_machine" "this" {
  name       = var.name
  role_arn   = aws_iam_role.this.arn
  definition = local.definition
  type       = "STANDARD"

  # ALL would log pictures and cost more than the workflow.
  logging_configuration {
    level                  = "ERROR"
    include_execution_data = true
    log_destination        = "${aws_cloudwatch_log_group.this.arn}:*"
  }

  tracing_configuration {
    enabled = true
  }

  lifecycle {
    precondition {
      condition = length(local.unfilled) == 0
      error_message = join(" ", [
        "${var.definition_file} uses ${join(", ", local.unfilled)}, which has no value:",
        "add it to tokens in terraform/state_machines.tf.",
      ])
    }
    precondition {
      condition     = length(local.missing) == 0
      error_message = "${var.definition_file} includes ${join(", ", local.missing)}, which is not there."
    }
  }

  depends_on = [aws_iam_role_policy.this]
}

resource "aws_cloudwatch_log_group" "this" {
  # With this prefix Step Functions needs no growing resource policy for log delivery.
  name              = "/aws/vendedlogs/states/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.key_arn
}
