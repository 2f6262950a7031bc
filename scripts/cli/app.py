"""The command line: one file per verb."""

import typer

from scripts.cli.commands import (
    baseline,
    batch,
    classify,
    cleanup,
    cost,
    demo,
    deploy,
    destroy,
    doctor,
    down,
    evaluate,
    forget,
    image,
    outbox,
    package,
    permissions,
    plan,
    promote,
    report,
    rerun,
    review,
    rollback,
    stage,
    stream,
    testcase,
    train,
    up,
    verify,
)

app = typer.Typer(
    name="scones",
    help="An image-classification workflow that fails loudly: on AWS, or whole on this machine.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
)
app.command("doctor")(doctor.doctor)
app.command("package")(package.package)
app.command("up")(up.up)
app.command("down")(down.down)
app.command("stage")(stage.stage)
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate_model)
app.command("image")(image.image)
app.command("promote")(promote.promote)
app.command("rollback")(rollback.rollback)
app.command("plan")(plan.plan)
app.command("cost")(cost.estimate_cost)
app.command("deploy")(deploy.deploy)
app.command("verify")(verify.verify)
app.command("classify")(classify.classify)
app.command("rerun")(rerun.rerun)
app.command("batch")(batch.batch)
app.command("stream")(stream.stream)
app.command("testcase")(testcase.print_inputs)
app.command("review")(review.review)
app.command("baseline")(baseline.baseline)
app.command("report")(report.report)
app.command("outbox")(outbox.outbox)
app.command("forget")(forget.forget)
app.command("destroy")(destroy.destroy_environment)
app.command("cleanup")(cleanup.cleanup)
app.command("permissions")(permissions.permissions)
app.command("demo")(demo.demo)

if __name__ == "__main__":
    app()
