"""A yardstick, not a part of the product: a handler written the way that notebooks write it.

One file, boto3 imported and a client made at module level. The notebooks import the SageMaker SDK as well, which
is not installed here and would cost several times more: this is the cheap version of the usual way.
"""

import base64
import json

import boto3

runtime = boto3.client("sagemaker-runtime", region_name="us-east-1")


def lambda_handler(event, context):
    image = base64.b64decode(event["image_data"])
    answer = runtime.invoke_endpoint(EndpointName="endpoint", ContentType="image/png", Body=image)
    return {"statusCode": 200, "body": json.dumps({"inferences": answer["Body"].read().decode()})}
