"""What the workers do: the only code of the panel that speaks to the agent."""

from mailadmin.deployments.runner.applying import run_deployment, seconds_to_wait
from mailadmin.deployments.runner.challenges import (
    HostWay,
    find_host_way,
    present_challenge,
    withdraw_challenge,
)
from mailadmin.deployments.runner.confirming import settle_deployment
from mailadmin.deployments.runner.foreseeing import run_foresight
from mailadmin.deployments.runner.planning import run_plan
from mailadmin.deployments.runner.probing import run_probe
from mailadmin.deployments.runner.reading_hosts import run_reading
from mailadmin.deployments.runner.recovering import follow_recovery
from mailadmin.deployments.runner.registering import HostReport, look_at_host
from mailadmin.deployments.runner.rehearsing import rehearse_certificate

__all__ = [
    "HostReport",
    "HostWay",
    "find_host_way",
    "follow_recovery",
    "look_at_host",
    "present_challenge",
    "rehearse_certificate",
    "run_deployment",
    "run_foresight",
    "run_plan",
    "run_probe",
    "run_reading",
    "seconds_to_wait",
    "settle_deployment",
    "withdraw_challenge",
]
