"""From our records to Grafana's JSON, by Grafana's own SDK."""

from __future__ import annotations

from typing import Any, Final

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from dashboards.panel import Board, Choice, Panel, Query, Row
from dashboards.queries import with_variables

DATASOURCE: Final = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
RUNBOOKS: Final = "docs/runbooks/"
"""Where runbooks are when no address is given: in the project itself. Panels then name them instead of linking."""
TAG: Final = "cgscope"

_SEEN: Final = 'container_last_seen{job=~"$job",instance=~"$instance"'
_CHOICES: Final[dict[Choice, tuple[str, str, bool]]] = {
    "engine": ("Engine", f'label_values({_SEEN},id!="/"}}, engine)', True),
    "name": ("Container", f'label_values({_SEEN},engine=~"$engine",id!="/"}}, name)', True),
    "id": ("Cgroup", f'label_values({_SEEN},id!="/"}}, id)', False),
    "namespace": ("Namespace", f"label_values({_SEEN}}}, namespace)", True),
    "pod": ("Pod", f'label_values({_SEEN},namespace=~"$namespace"}}, pod)', True),
}
"""Variable -> label, query, whether several may be chosen."""


def to_json(board: Board, runbooks: str = RUNBOOKS) -> str:
    """Write a dashboard as Grafana reads it. ``runbooks`` is what a runbook's file name is put behind."""
    return JSONEncoder(sort_keys=True, indent=2).encode(_dashboard(board, runbooks)) + "\n"


def _dashboard(board: Board, runbooks: str) -> models.Dashboard:
    made = (
        builders.Dashboard(board.title)
        .uid(board.uid)
        .description(board.text)
        .tags([TAG])
        .readonly()
        .refresh("30s")
        .time(board.span, "now")
        .timezone("browser")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .link(_link())
        .with_variable(builders.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(
            _variable("job", "Job", "label_values(cgroup_exporter_build_info, job)", several=True, every=".+")
        )
        .with_variable(
            _variable(
                "instance",
                "Instance",
                'label_values(cgroup_exporter_build_info{job=~"$job"}, instance)',
                several=True,
                every=".+",
            )
        )
    )
    for choice in board.choices:
        label, query, several = _CHOICES[choice]
        made.with_variable(_variable(choice, label, query, several=several, every=".*"))
    for row in board.rows:
        _add(made, row, runbooks)
    found = made.build()
    for number, panel in enumerate(found.panels or (), 1):
        panel.id_val = number
    return found


def _link() -> builders.DashboardLink:
    return (
        builders.DashboardLink("cgscope")
        .type(models.DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .as_dropdown(True)  # noqa: FBT003 - the SDK's way
        .include_vars(True)  # noqa: FBT003
        .keep_time(True)  # noqa: FBT003
    )


def _variable(name: str, label: str, query: str, *, several: bool, every: str) -> builders.QueryVariable:
    made = (
        builders.QueryVariable(name)
        .label(label)
        .datasource(DATASOURCE)
        .query({"qryType": 1, "query": query, "refId": name})
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
        .multi(several)
        .include_all(several)
    )
    return made.all_value(every).current(models.VariableOption(text="All", value="$__all")) if several else made


def _add(board: builders.Dashboard, row: Row, runbooks: str) -> None:
    board.with_row(builders.Row(row.title))
    for panel in row.panels:
        made: Any = {"lines": _lines, "stat": _stat, "table": _table}[panel.kind](panel)
        made.title(panel.title).datasource(DATASOURCE).unit(panel.unit)
        made.height(panel.height).span(panel.width).min(0)
        if panel.most is not None:
            made.max(panel.most)
        address = f"{runbooks}{panel.runbook}.md" if panel.runbook else ""
        made.description(f"{panel.text} Runbook: {address}" if address else panel.text)
        if address.startswith(("http://", "https://")):
            made.links([builders.DashboardLink("Runbook").url(address).target_blank(True)])  # noqa: FBT003 - the SDK's
        board.with_panel(made)


def _lines(panel: Panel) -> timeseries.Panel:
    legend = (
        common_builders.VizLegendOptions()
        .display_mode(common_models.LegendDisplayMode.LIST)
        .placement(common_models.LegendPlacement.BOTTOM)
        .show_legend(True)  # noqa: FBT003
    )
    tooltip = common_builders.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI)
    made = timeseries.Panel().legend(legend).tooltip(tooltip).fill_opacity(8)
    for index, query in enumerate(panel.queries):
        made.with_target(_target(panel, query, index))
        if query.limit:
            made.override_by_query(_letter(index), _LIMIT_LOOKS)
    return made


_LIMIT_LOOKS: Final = [
    models.DynamicConfigValue(id_val="custom.lineStyle", value={"fill": "dash", "dash": [8, 6]}),
    models.DynamicConfigValue(id_val="custom.fillOpacity", value=0),
    models.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": "red"}),
]


def _stat(panel: Panel) -> stat.Panel:
    made = stat.Panel().reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]))
    for index, query in enumerate(panel.queries):
        made.with_target(_target(panel, query, index))
    return made


def _table(panel: Panel) -> table.Panel:
    """Make a table of instant values: a column per query, a row per series."""
    made = table.Panel().filterable(True)  # noqa: FBT003
    names = {}
    for index, query in enumerate(panel.queries):
        made.with_target(_target(panel, query, index).instant().format(PromQueryFormat.TABLE))
        column = f"Value #{_letter(index)}" if len(panel.queries) > 1 else "Value"
        names[column] = query.legend
        if query.unit is not None:
            made.override_by_name(query.legend, [models.DynamicConfigValue(id_val="unit", value=query.unit)])
    made.with_transformation(models.DataTransformerConfig(id_val="merge", options={}))
    options = {"excludeByName": {"Time": True, "job": True}, "renameByName": names}
    return made.with_transformation(models.DataTransformerConfig(id_val="organize", options=options))


def _target(panel: Panel, query: Query, index: int) -> prometheus.Dataquery:
    return (
        prometheus.Dataquery()
        .expr(with_variables(query.expr, panel.scope))
        .legend_format(query.legend)
        .datasource(DATASOURCE)
        .ref_id(_letter(index))
    )


def _letter(index: int) -> str:
    return chr(ord("A") + index)
