"""Charts that serve all exhibits: each draws a `raml.report.entry.FigureEntry` from effects, or from curves."""
