"""The rows of the table of `make bench`: each module measures one network, and gives the cells of one or more rows."""
