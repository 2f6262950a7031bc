# Each run holds one bad value per variable, so that few runs (about a second each) reach every rule.
# The messages themselves are checked by tests/terraform/test_messages.py.

mock_provider "aws" {
  override_data {
    target = data.aws_caller_identity.current
    values = { account_id = "123456789012" }
  }
  override_data {
    target = data.aws_partition.current
    values = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
}

variables {
  environment = "dev"
  model = {
    name                = "bikes"
    artifact_uri        = "s3://scones-dev-123456789012-us-east-1/models/bikes/model.tar.gz"
    sha256              = "0000000000000000000000000000000000000000000000000000000000000000"
    image_uri           = "123456789012.dkr.ecr.us-east-1.amazonaws.com/scones-dev-serving@sha256:0000000000000000000000000000000000000000000000000000000000000000"
    labels              = ["bicycle", "motorcycle", "neither"]
    classes_of_interest = ["bicycle", "motorcycle"]
    threshold           = 0.93
    input_size          = 32
  }
}

# ---------------------------------------------------------------- what is allowed

run "a_model_with_defaults_is_valid" {
  command = plan

  assert {
    condition     = output.endpoint_name == "scones-dev-classifier"
    error_message = "A model must bring an endpoint."
  }
}

run "serverless_without_capture_is_valid" {
  command = plan

  variables {
    endpoint = { serverless = { memory_mb = 2048, max_concurrency = 5 }, capture_percentage = 0 }
  }
}

run "training_takes_the_container_of_its_region" {
  command = plan

  variables {
    region = "eu-central-1"
    model  = null
  }

  assert {
    condition     = output.training_image_uri == "763104351884.dkr.ecr.eu-central-1.amazonaws.com/pytorch:2.14.0-cu133-amzn2023-sagemaker"
    error_message = "Without an image of one's own jobs run in AWS's PyTorch container: ${output.training_image_uri}."
  }
}

run "no_model_means_no_endpoint" {
  command = plan

  variables {
    model = null
  }

  assert {
    condition     = output.endpoint_name == null
    error_message = "Without a model there must be no endpoint."
  }
}

# ---------------------------------------------------------------- what is refused

run "refuses_first_bad_values" {
  command = plan

  variables {
    project                  = "Scones"
    endpoint                 = { instance_type = "m5.large" }
    threshold                = 93
    subscribers              = { "nobody" = ["system"] }
    runbook_url              = "https://example.com/operations#top"
    log_retention_days       = 31
    ledger_retention_days    = 0
    existing_key_arn         = "alias/mine"
    permissions_boundary_arn = "boundary"
    region                   = "virginia"
    training_image_uri       = "pytorch:latest"
    model = {
      name      = "bikes", artifact_uri = "models/model.tar.gz", sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
      image_uri = "serving@sha256:0000000000000000000000000000000000000000000000000000000000000000"
      labels    = ["a", "b"], classes_of_interest = ["a"], threshold = 0.9, input_size = 32
    }
  }

  expect_failures = [
    var.project, var.endpoint, var.threshold, var.subscribers, var.runbook_url, var.log_retention_days,
    var.ledger_retention_days, var.existing_key_arn, var.permissions_boundary_arn, var.region, var.training_image_uri, var.model,
  ]
}

run "refuses_a_tag_in_place_of_a_digest_and_a_graviton_type" {
  command = plan

  variables {
    subscribers = { "a@example.com" = ["sytem"] }
    endpoint    = { instance_type = "ml.m8g.large" }
    model = {
      name                = "bikes"
      artifact_uri        = "s3://scones-dev-123456789012-us-east-1/models/bikes/model.tar.gz"
      sha256              = "0000000000000000000000000000000000000000000000000000000000000000"
      image_uri           = "serving:latest"
      labels              = ["a", "b"]
      classes_of_interest = ["a"]
      threshold           = 0.9
      input_size          = 32
    }
  }

  expect_failures = [var.model, var.endpoint, var.subscribers]
}

run "refuses_a_short_sha256_and_no_instance" {
  command = plan

  variables {
    threshold   = 0
    subscribers = { "a@example.com" = [] }
    endpoint    = { instance_count = 0 }
    model = {
      name                = "bikes"
      artifact_uri        = "s3://scones-dev-123456789012-us-east-1/models/bikes/model.tar.gz"
      sha256              = "abc"
      image_uri           = "serving@sha256:0000000000000000000000000000000000000000000000000000000000000000"
      labels              = ["a", "b"]
      classes_of_interest = ["a"]
      threshold           = 0.9
      input_size          = 32
    }
  }

  expect_failures = [var.model, var.endpoint, var.threshold, var.subscribers]
}

run "refuses_a_label_twice_and_scaling_to_zero" {
  command = plan

  variables {
    environment = "Dev"
    endpoint    = { instance_type = "ml.m5.large", scaling = { min = 0, max = 2, target = 100 } }
    model = {
      name                = "bikes"
      artifact_uri        = "s3://scones-dev-123456789012-us-east-1/models/bikes/model.tar.gz"
      sha256              = "0000000000000000000000000000000000000000000000000000000000000000"
      image_uri           = "serving@sha256:0000000000000000000000000000000000000000000000000000000000000000"
      labels              = ["a", "a"]
      classes_of_interest = ["a"]
      threshold           = 0.9
      input_size          = 32
    }
  }

  expect_failures = [var.model, var.endpoint, var.environment]
}

run "refuses_a_foreign_class_of_interest_and_scaling_of_a_burstable_type" {
  command = plan

  variables {
    project  = "a-project-with-a-long-name"
    endpoint = { instance_type = "ml.t2.medium", scaling = { min = 1, max = 2, target = 100 } }
    model = {
      name                = "bikes"
      artifact_uri        = "s3://scones-dev-123456789012-us-east-1/models/bikes/model.tar.gz"
      sha256              = "0000000000000000000000000000000000000000000000000000000000000000"
      image_uri           = "serving@sha256:0000000000000000000000000000000000000000000000000000000000000000"
      labels              = ["a", "b"]
      classes_of_interest = ["c"]
      threshold           = 0.9
      input_size          = 32
    }
  }

  expect_failures = [var.model, var.endpoint, var.project]
}

run "refuses_a_percentage_as_threshold_and_scaling_with_serverless" {
  command = plan

  variables {
    endpoint = { instance_type = "ml.m5.large", scaling = { min = 1, max = 2, target = 100 }, serverless = { memory_mb = 2048, max_concurrency = 5 }, capture_percentage = 0 }
    model = {
      name                = "bikes"
      artifact_uri        = "s3://scones-dev-123456789012-us-east-1/models/bikes/model.tar.gz"
      sha256              = "0000000000000000000000000000000000000000000000000000000000000000"
      image_uri           = "serving@sha256:0000000000000000000000000000000000000000000000000000000000000000"
      labels              = ["a", "b"]
      classes_of_interest = ["a"]
      threshold           = 93
      input_size          = 32
    }
  }

  expect_failures = [var.model, var.endpoint]
}

run "refuses_half_a_pixel_and_odd_serverless_memory" {
  command = plan

  variables {
    endpoint = { serverless = { memory_mb = 2000, max_concurrency = 5 }, capture_percentage = 0 }
    model = {
      name                = "bikes"
      artifact_uri        = "s3://scones-dev-123456789012-us-east-1/models/bikes/model.tar.gz"
      sha256              = "0000000000000000000000000000000000000000000000000000000000000000"
      image_uri           = "serving@sha256:0000000000000000000000000000000000000000000000000000000000000000"
      labels              = ["a", "b"]
      classes_of_interest = ["a"]
      threshold           = 0.9
      input_size          = 32.5
    }
  }

  expect_failures = [var.model, var.endpoint]
}

run "refuses_a_huge_input_and_more_than_everything_captured" {
  command = plan

  variables {
    endpoint = { capture_percentage = 101 }
    model = {
      name                = "bikes"
      artifact_uri        = "s3://scones-dev-123456789012-us-east-1/models/bikes/model.tar.gz"
      sha256              = "0000000000000000000000000000000000000000000000000000000000000000"
      image_uri           = "serving@sha256:0000000000000000000000000000000000000000000000000000000000000000"
      labels              = ["a", "b"]
      classes_of_interest = ["a"]
      threshold           = 0.9
      input_size          = 241
    }
  }

  expect_failures = [var.model, var.endpoint]
}

run "refuses_capture_on_a_serverless_endpoint" {
  command = plan

  variables {
    endpoint = { serverless = { memory_mb = 2048, max_concurrency = 5 } }
  }

  expect_failures = [var.endpoint]
}

run "refuses_a_folder_without_packages" {
  command = plan

  variables {
    package_dir = "./environments"
  }

  expect_failures = [var.package_dir]
}
