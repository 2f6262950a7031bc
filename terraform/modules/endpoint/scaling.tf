locals {
  scaled = { for key, model in local.models : key => var.hosting.scaling if var.hosting.scaling != null }
}

# Replaced when the instance type changes. The target depends on it, so it goes first; the endpoint waits for it, so it
# changes next; the new target comes last.
resource "terraform_data" "scaled_instances" {
  for_each = local.scaled

  triggers_replace = var.hosting.instance_type
}

resource "aws_appautoscaling_target" "instances" {
  for_each = local.scaled

  service_namespace  = "sagemaker"
  resource_id        = "endpoint/${aws_sagemaker_endpoint.this[each.key].name}/variant/primary"
  scalable_dimension = "sagemaker:variant:DesiredInstanceCount"
  min_capacity       = each.value.min
  max_capacity       = each.value.max

  lifecycle {
    replace_triggered_by = [terraform_data.scaled_instances[each.key]]
  }
}

resource "aws_appautoscaling_policy" "invocations" {
  for_each = local.scaled

  name               = "${var.name}-invocations"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.instances[each.key].service_namespace
  resource_id        = aws_appautoscaling_target.instances[each.key].resource_id
  scalable_dimension = aws_appautoscaling_target.instances[each.key].scalable_dimension

  target_tracking_scaling_policy_configuration {
    target_value = each.value.target

    predefined_metric_specification {
      predefined_metric_type = "SageMakerVariantInvocationsPerInstance"
    }
  }

  lifecycle {
    # AWS deletes a target's policies with it.
    replace_triggered_by = [terraform_data.scaled_instances[each.key]]
  }
}
