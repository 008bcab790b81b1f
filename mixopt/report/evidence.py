"""What the methods show of what their answers rest on: each by its own figures and tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mixopt.display.figure import Figure
    from mixopt.display.table import Table
    from mixopt.methods.base import Recommendation


def evidence_figures(recommendation: Recommendation) -> list[Figure]:
    """The method's own pictures."""
    from mixopt.methods.autoscale.figures import scaling_figure
    from mixopt.methods.ddo.figures import laws_figure
    from mixopt.methods.doremi.figures import weights_figure
    from mixopt.methods.joint.figures import law_figure
    from mixopt.methods.swarm.figures import evidence_figure, pareto_figure

    details, found = recommendation.details, []
    if details.get("path"):
        found.append(scaling_figure(recommendation))
    if details.get("domains"):
        found.append(laws_figure(recommendation))
    law = details.get("joint") or details
    if law.get("cells"):
        found.append(law_figure(law, recommendation.objective, details["units"]))
    if details.get("doremi"):
        found.append(weights_figure(recommendation))
    if details.get("evidence"):
        found.append(evidence_figure(recommendation))
    if details.get("pareto"):
        found.append(pareto_figure(recommendation))
    return found


def evidence_tables(recommendation: Recommendation) -> list[Table]:
    """The method's own tables."""
    from mixopt.methods.adso.figures import scales_table
    from mixopt.methods.autoscale.figures import scaling_tables
    from mixopt.methods.ddo.figures import laws_table
    from mixopt.methods.joint.figures import law_tables
    from mixopt.methods.swarm import figures as swarm

    details, found = recommendation.details, []
    if details.get("path"):
        found += scaling_tables(recommendation)
    if details.get("domains"):
        found.append(laws_table(recommendation))
    law = details.get("joint") or details
    if law.get("cells"):
        found += law_tables(law)
    if "spent" in details:
        found.append(scales_table(recommendation))
    if details.get("pareto"):
        found.append(swarm.front_table(details["pareto"]))
    if details.get("evidence"):
        found += swarm.evidence_tables(details["evidence"])
    if details.get("swarm"):
        found.append(swarm.swarm_table(recommendation))
    return found
