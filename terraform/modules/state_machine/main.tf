# templatefile cannot read JSONata ("{%{" and "${" are its own syntax), so the text is cut at its tokens instead.
locals {
  folder = dirname(var.definition_file)
  composed = join("", [
    for piece in regexall("\"[a-z_]+[.]asl[.]json\"|\"|[^\"]+", file(var.definition_file)) :
    endswith(piece, ".asl.json\"") ? file("${local.folder}/${trim(piece, "\"")}") : piece
  ])
  filled = join("", [
    for piece in regexall("<<[a-z_]+>>|<|[^<]+", local.composed) :
    lookup(local.values, piece, piece)
  ])
  values     = { for name, value in var.tokens : "<<${name}>>" => value }
  unfilled   = distinct(regexall("<<[a-z_]+>>", local.filled))
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
  }

  depends_on = [aws_iam_role_policy.this]
}

resource "aws_cloudwatch_log_group" "this" {
  # With this prefix Step Functions needs no growing resource policy for log delivery.
  name              = "/aws/vendedlogs/states/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.key_arn
}
