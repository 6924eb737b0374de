"""What people see: figures, tables and one HTML page, made from stored measurements only.

One module an exhibit (`fig3`, `fig16`, `tab2`) draws its SVG and writes what there is to say about it
as an `Exhibit`; `build` lays the claims and all exhibits out as a page. Matplotlib is imported by the
modules that draw and by nothing else.
"""
