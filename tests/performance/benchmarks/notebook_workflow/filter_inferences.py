"""A yardstick: the original's third function."""

THRESHOLD = 0.93


def lambda_handler(event, context):
    if not any(value >= THRESHOLD for value in event["inferences"]):
        raise Exception("THRESHOLD_CONFIDENCE_NOT_MET")  # noqa: TRY002
    return {"statusCode": 200, "body": event}
