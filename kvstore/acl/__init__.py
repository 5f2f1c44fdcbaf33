"""Access control: who may do what, as in Consul.

- rules: policies, roles and tokens, as plain values;
- language: rules as text, read;
- legacy: tokens of the model of 2014;
- authorizer: what rules add up to;
- access: the tables of the state, and what each operation needs.
"""
