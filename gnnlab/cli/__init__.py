"""The command line: ``gnnlab fit | validate | test | predict | reproduce | report | datasets | doctor | bench``."""
