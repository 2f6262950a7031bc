@noskip
Feature: What people entrust to the bucket, the ledger and the key stays theirs

  Scenario: Buckets encrypt with a KMS key
    Given I have aws_s3_bucket_server_side_encryption_configuration defined
    Then it must have rule
    Then it must have apply_server_side_encryption_by_default
    Then it must have sse_algorithm
    And its value must be aws:kms

  Scenario: Buckets encrypt with the project's own key
    Given I have aws_s3_bucket_server_side_encryption_configuration defined
    Then it must have kms_master_key_id
    And its value must match the "^arn:aws:kms:" regex

  Scenario: A bucket asks its key once for many objects
    Given I have aws_s3_bucket_server_side_encryption_configuration defined
    Then it must have bucket_key_enabled
    And its value must be true

  Scenario Outline: Buckets are never public
    Given I have aws_s3_bucket_public_access_block defined
    Then it must have <setting>
    And its value must be true

    Examples:
      | setting                 |
      | block_public_acls       |
      | block_public_policy     |
      | ignore_public_acls      |
      | restrict_public_buckets |

  Scenario: The bucket's owner owns every object
    Given I have aws_s3_bucket_ownership_controls defined
    Then it must have rule
    Then it must have object_ownership
    And its value must be BucketOwnerEnforced

  Scenario: Buckets keep overwritten objects
    Given I have aws_s3_bucket_versioning defined
    Then it must have versioning_configuration
    Then it must have status
    And its value must match the "^Enabled$" regex

  Scenario: What is no longer wanted expires
    Given I have aws_s3_bucket_lifecycle_configuration defined
    Then it must have rule
    Then it must have status
    And its value must match the "^Enabled$" regex

  Scenario: Buckets refuse requests without TLS
    Given I have aws_s3_bucket_policy defined
    Then it must have policy
    Then it must have Statement
    Then it must have Condition
    Then it must have Bool
    Then it must have aws:SecureTransport
    And its value must be false

  Scenario: In production, destroy leaves a bucket that holds something
    Given I have aws_s3_bucket defined
    Then it must have force_destroy
    And its value must be false

  Scenario Outline: The ledger is encrypted, can be restored, and forgets in time
    Given I have aws_dynamodb_table defined
    Then it must have <protection>
    Then it must have enabled
    And its value must be true

    Examples:
      | protection             |
      | server_side_encryption |
      | point_in_time_recovery |
      | ttl                    |

  Scenario: The ledger is encrypted with the project's own key
    Given I have aws_dynamodb_table defined
    Then it must have server_side_encryption
    Then it must have kms_key_arn
    And its value must match the "^arn:aws:kms:" regex

  Scenario: In production, the ledger cannot be deleted by mistake
    Given I have aws_dynamodb_table defined
    Then it must have deletion_protection_enabled
    And its value must be true

  Scenario: Keys are rotated
    Given I have aws_kms_key defined
    Then it must have enable_key_rotation
    And its value must be true

  Scenario: In production, a deleted key can be rescued for 30 days
    Given I have aws_kms_key defined
    Then it must have deletion_window_in_days
    And its value must be 30
