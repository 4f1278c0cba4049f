"""The audience language: model, parser, checker, compiler, and deciding. No I/O, no clock, no Faust."""
