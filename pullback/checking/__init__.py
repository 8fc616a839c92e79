"""The checks of every derivative rule: what `pullback check-rules` runs, and the tests, and extend.check().

`cases` are the arguments, `checks` the checks, `values` the comparison with torch, `page` the page of one row
a rule. Nothing here is imported with the package.
"""
