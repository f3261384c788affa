"""The services of deploys."""

from functools import cache
from typing import TYPE_CHECKING

from castari.bootstrap import catalogue, invoking, stores, tables, vendor
from castari.bootstrap.settings import settings

if TYPE_CHECKING:
    from castari.services.build_sandboxes import BuildSandboxes
    from castari.services.builds import Builds
    from castari.services.checkouts import Checkouts
    from castari.services.claims import Claims
    from castari.services.deploy_checks import DeployChecks
    from castari.services.deploys import Deploys
    from castari.services.handovers import Handovers


@cache
def build_sandboxes() -> "BuildSandboxes":
    """Return what makes build sandboxes."""
    from castari.services.build_sandboxes import BuildSandboxes

    return BuildSandboxes(vendor.sandboxes(), vendor.capacity(), settings().limits)


@cache
def builds() -> "Builds":
    """Return what builds bundles."""
    from castari.services.builds import Builds

    known = settings()
    return Builds(
        build_sandboxes(), stores.bundle_bucket(), stores.secret_store(), known.limits, known.base_template
    )


@cache
def checkouts() -> "Checkouts":
    """Return what makes bundles from git repositories."""
    from castari.services.checkouts import Checkouts

    known = settings()
    return Checkouts(
        build_sandboxes(), stores.bundle_bucket(), stores.secret_store(), known.limits, known.base_template
    )


@cache
def claims() -> "Claims":
    """Return what says which worker carries out a deploy."""
    from castari.services.claims import Claims

    return Claims(tables.versions_table(), stores.maintenance_queue(), settings().limits)


@cache
def handovers() -> "Handovers":
    """Return what ends deploys."""
    from castari.services.handovers import Handovers

    return Handovers(
        tables.versions_table(),
        tables.build_logs_table(),
        catalogue.switches(),
        invoking.warm_pool(),
        stores.maintenance_queue(),
    )


@cache
def deploys() -> "Deploys":
    """Return what deploys bundles."""
    from castari.services.bundles import Bundles
    from castari.services.deploys import Deploys
    from castari.services.leftovers import Leftovers

    known = settings()
    return Deploys(
        agents=tables.agents_table(),
        versions=tables.versions_table(),
        logs=tables.build_logs_table(),
        bundles=Bundles(stores.bundle_bucket(), known.limits),
        checkouts=checkouts(),
        builds=builds(),
        claims=claims(),
        leftovers=Leftovers(vendor.sandboxes()),
        switches=catalogue.switches(),
        handovers=handovers(),
        base_template=known.base_template,
    )


@cache
def deploy_checks() -> "DeployChecks":
    """Return what looks after deploys."""
    from castari.services.deploy_checks import DeployChecks

    return DeployChecks(
        agents=tables.agents_table(),
        versions=tables.versions_table(),
        deploys=stores.deploy_queue(),
        claims=claims(),
        switches=catalogue.switches(),
        handovers=handovers(),
    )
