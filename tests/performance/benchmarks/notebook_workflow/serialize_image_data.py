"""A yardstick, not a part of the product: the first of the workflow's original functions, from its description."""

import base64

import boto3

s3 = boto3.client("s3")


def lambda_handler(event, context):
    s3.download_file(event["s3_bucket"], event["s3_key"], "/tmp/image.png")  # noqa: S108
    with open("/tmp/image.png", "rb") as file:  # noqa: PTH123, S108
        image_data = base64.b64encode(file.read()).decode()
    body = {
        "image_data": image_data,
        "s3_bucket": event["s3_bucket"],
        "s3_key": event["s3_key"],
        "inferences": [],
    }
    return {"statusCode": 200, "body": body}
