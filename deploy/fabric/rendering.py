"""A plan as text and as a picture (SVG)."""

from html import escape

from deploy.fabric.planning import Host, Plan, total

HEADER = ("host", "services", "address", "cores", "memory", "disk", "gpu")
COLUMNS_OF_PICTURE = 4
BOX_WIDTH, BOX_HEIGHT, GAP, MARGIN = 220, 112, 24, 24
COLOURS = {"head": "#dbeafe", "training": "#fde68a", "worker": "#dcfce7"}


def describe(plan: Plan) -> str:
    """Return all facts about a plan: the slice, a table of its hosts, the totals."""
    specification, totals = plan.specification, total(plan)
    network = specification.network
    hours = specification.lease_hours
    lines = [
        f"slice {specification.name} at {specification.site}, image {specification.image}, {hours} hours",
        f"network {network.name}: L2Bridge, {network.subnet}, {totals.machines} of "
        f"{network.subnet.num_addresses - 2} addresses used",
        "",
        *table([HEADER, *(row(host) for host in plan.hosts)]),
        "",
        f"total: {totals.machines} machines, {totals.cores} cores, {totals.memory_gb} GB memory, "
        f"{totals.disk_gb} GB disk, {totals.gpus} GPU",
        f"for {hours} hours: {totals.cores * hours} core hours, {totals.gpus * hours} GPU hours",
    ]
    return "\n".join(lines) + "\n"


def row(host: Host) -> tuple[str, ...]:
    """Return the fields of a host."""
    size = host.size
    sizes = (str(size.cores), f"{size.memory_gb} GB", f"{size.disk_gb} GB")
    return (host.name, ", ".join(host.profiles), str(host.address), *sizes, host.gpu or "-")


def table(rows: list[tuple[str, ...]]) -> list[str]:
    """Return the lines of a table with aligned columns. The first row is the header."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) for cells in rows
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return [line.rstrip() for line in lines]


def steps(plan: Plan) -> list[str]:
    """Return what `up` does, in order."""
    name, count = plan.specification.name, len(plan.hosts)
    others = ", ".join(host.name for host in plan.hosts if host not in (plan.head, plan.training))
    return [
        f"create the slice {name} unless it exists, and wait until all {count} machines accept SSH",
        f"give each machine its address in {plan.specification.network.subnet}",
        "on every machine: install Docker, copy the project, settings and hosts file, build images",
        f"start DataNodes and Spark workers on {others}",
        f"start databases, NameNode, Spark master, MLflow and Airflow on {plan.head.name}",
        f"start the Celery worker of the queue gpu on {plan.training.name}, and wait for all services",
    ]


def draw(plan: Plan) -> str:
    """Return a picture: the network as a line, each host as a box on it."""
    hosts = plan.hosts
    columns = min(COLUMNS_OF_PICTURE, len(hosts))
    rows = -(-len(hosts) // columns)
    width = 2 * MARGIN + columns * BOX_WIDTH + (columns - 1) * GAP
    row_height = BOX_HEIGHT + 3 * GAP
    height = 2 * MARGIN + 20 + rows * row_height - GAP
    specification = plan.specification
    title = f"{specification.name} at {specification.site}: {specification.network.subnet} (L2Bridge)"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="sans-serif" font-size="13">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="{MARGIN}" y="{MARGIN + 14}" font-size="16" font-weight="bold">{escape(title)}</text>',
    ]
    line_ys = [MARGIN + 44 + number * row_height for number in range(rows)]
    for number, y in enumerate(line_ys):  # to the last host of the row
        last = min(columns, len(hosts) - number * columns) - 1
        parts.append(line(MARGIN // 2, y, MARGIN + last * (BOX_WIDTH + GAP) + BOX_WIDTH // 2, y))
    if rows > 1:
        parts.append(line(MARGIN // 2, line_ys[0], MARGIN // 2, line_ys[-1]))
    for number, host in enumerate(hosts):
        x = MARGIN + number % columns * (BOX_WIDTH + GAP)
        y = line_ys[number // columns]
        parts.append(line(x + BOX_WIDTH // 2, y, x + BOX_WIDTH // 2, y + GAP))
        parts += box(host, x, y + GAP)
    return "\n".join([*parts, "</svg>"]) + "\n"


def line(x1: int, y1: int, x2: int, y2: int) -> str:
    """Return a line of the network."""
    ends = f'x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"'
    return f'<line {ends} stroke="#475569" stroke-width="3" stroke-linecap="square"/>'


def box(host: Host, x: int, y: int) -> list[str]:
    """Return the box of a host with its properties."""
    size = host.size
    colour = COLOURS[host.name.partition("-")[0]]
    texts = [
        ", ".join(host.profiles),
        str(host.address),
        f"{size.cores} cores, {size.memory_gb} GB, disk {size.disk_gb} GB",
        host.gpu or "",
    ]
    return [
        f'<rect x="{x}" y="{y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="6" fill="{colour}" '
        'stroke="#475569"/>',
        f'<text x="{x + 10}" y="{y + 22}" font-weight="bold">{escape(host.name)}</text>',
        *(
            f'<text x="{x + 10}" y="{y + 42 + 19 * number}">{escape(text)}</text>'
            for number, text in enumerate(texts)
            if text
        ),
    ]
