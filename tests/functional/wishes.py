"""Maintenance messages about an agent, as the platform itself would send them."""

from datetime import datetime

from castari.messages import DeleteAgent, DestroySandbox, Refill, ReplaceSandbox, StopAgent, TidyAgent
from castari.models import Agent, Invocation


def refill(agent: Agent) -> Refill:
    return Refill(user_id=agent.user_id, slug=agent.slug)


def destroy(running: Invocation) -> DestroySandbox:
    return DestroySandbox(
        sandbox_id=str(running.sandbox_id), invocation_id=running.invocation_id, attempt=running.attempt
    )


def replace(agent: Agent, running: Invocation) -> ReplaceSandbox:
    return ReplaceSandbox(
        user_id=agent.user_id,
        slug=agent.slug,
        sandbox_id=str(running.sandbox_id),
        invocation_id=running.invocation_id,
        attempt=running.attempt,
    )


def stop(agent: Agent) -> StopAgent:
    return StopAgent(user_id=agent.user_id, slug=agent.slug, agent_id=agent.agent_id)


def delete(agent: Agent, at: datetime) -> DeleteAgent:
    return DeleteAgent(user_id=agent.user_id, slug=agent.slug, agent_id=agent.agent_id, requested_at=at)


def tidy(agent: Agent) -> TidyAgent:
    return TidyAgent(user_id=agent.user_id, slug=agent.slug, agent_id=agent.agent_id)
