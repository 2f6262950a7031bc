# SageMaker cannot change a model or an endpoint configuration, and an endpoint in use must keep its configuration.
# So the names of both contain a hash of all their inputs: a change creates new ones, updates the endpoint in place,
# and deletes the old ones last.
locals {
  models     = { for model in var.model[*] : "classifier" => model }
  serverless = var.hosting.serverless != null
  capture    = var.hosting.capture_percentage > 0

  # Types with disks of their own refuse a key for the volume; those disks encrypt themselves.
  own_disk   = can(regex("^ml[.](g[4-9]|p[45]|inf|trn|[a-z]+[0-9][a-z]*d[a-z]*[.])", var.hosting.instance_type))
  volume_key = local.serverless || local.own_disk ? null : var.key.arn

  model_names = { for key, model in local.models : key =>
    "${var.name}-${substr(sha256(jsonencode([model, local.isolated, local.role_arn])), 0, 12)}"
  }
  configuration_names = { for key, name in local.model_names : key =>
    "${var.name}-${substr(sha256(jsonencode([name, local.variant, var.bucket.name, var.key.reference])), 0, 12)}"
  }
  # Scaling changes a running endpoint, not its configuration. blue_green takes effect with a new configuration.
  variant  = { for setting, value in var.hosting : setting => value if setting != "scaling" }
  isolated = !local.serverless # serverless endpoints cannot be cut off from the network
  role_arn = "arn:${var.partition}:iam::${var.account}:role/${var.name}"
}

resource "aws_sagemaker_model" "this" {
  for_each = local.models

  name                     = local.model_names[each.key]
  execution_role_arn       = aws_iam_role.execution.arn
  enable_network_isolation = local.isolated

  primary_container {
    image          = each.value.image_uri
    model_data_url = each.value.artifact_uri
  }

  lifecycle {
    create_before_destroy = true

    precondition {
      condition = startswith(each.value.artifact_uri, "s3://${var.bucket.name}/models/")
      error_message = join(" ", [
        "model.artifact_uri is \"${each.value.artifact_uri}\": the endpoint may only read",
        "s3://${var.bucket.name}/models/; publish the artifact there with: scones promote.",
      ])
    }
  }

  # SageMaker uses this role to read artifact and image as soon as the model is created.
  depends_on = [aws_iam_role_policy.execution]
}

resource "aws_sagemaker_endpoint_configuration" "this" {
  for_each = local.models

  name        = local.configuration_names[each.key]
  kms_key_arn = local.volume_key

  production_variants {
    variant_name           = "primary"
    model_name             = aws_sagemaker_model.this[each.key].name
    instance_type          = local.serverless ? null : var.hosting.instance_type
    initial_instance_count = local.serverless ? null : var.hosting.instance_count
    initial_variant_weight = 1

    dynamic "serverless_config" {
      for_each = var.hosting.serverless[*]

      content {
        memory_size_in_mb = serverless_config.value.memory_mb
        max_concurrency   = serverless_config.value.max_concurrency
      }
    }
  }

  dynamic "data_capture_config" {
    for_each = local.capture ? toset(["capture"]) : toset([])

    content {
      enable_capture              = true
      initial_sampling_percentage = var.hosting.capture_percentage
      destination_s3_uri          = "s3://${var.bucket.name}/${data_capture_config.key}"
      kms_key_id                  = var.key.arn

      capture_options {
        capture_mode = "Input"
      }
      capture_options {
        capture_mode = "Output"
      }
      # Keeps answers readable; pictures are captured as base64.
      capture_content_type_header {
        json_content_types = ["application/json"]
      }
    }
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_sagemaker_endpoint" "this" {
  for_each = local.models

  name                 = var.name
  endpoint_config_name = aws_sagemaker_endpoint_configuration.this[each.key].name

  # No alarms that roll an update back: changing them would replace the endpoint (provider 5.100).
  dynamic "deployment_config" {
    for_each = var.hosting.blue_green[*]

    content {
      blue_green_update_policy {
        traffic_routing_configuration {
          type                     = upper(deployment_config.value.traffic)
          wait_interval_in_seconds = deployment_config.value.wait_seconds

          dynamic "canary_size" {
            for_each = deployment_config.value.traffic == "canary" ? [deployment_config.value.percent] : []

            content {
              type  = "CAPACITY_PERCENT"
              value = canary_size.value
            }
          }

          dynamic "linear_step_size" {
            for_each = deployment_config.value.traffic == "linear" ? [deployment_config.value.percent] : []

            content {
              type  = "CAPACITY_PERCENT"
              value = linear_step_size.value
            }
          }
        }
      }
    }
  }

  lifecycle {
    # SageMaker cannot turn one kind of endpoint into the other.
    replace_triggered_by = [terraform_data.hosting_kind]
  }

  # SageMaker refuses to change the type of instances under a scaling target: see scaling.tf.
  depends_on = [aws_cloudwatch_log_group.this, terraform_data.scaled_instances, var.answers_judged_by]
}

resource "terraform_data" "hosting_kind" {
  input = local.serverless ? "serverless" : "provisioned"
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/aws/sagemaker/Endpoints/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.key.arn
}
