"""What a sandbox starts: `python3 -I -S /opt/castari run RUN_FILE` or `build`."""

import sys

match sys.argv[1:]:
    case ["run", run_file]:
        from runner.main import main

        sys.exit(main(run_file))
    case ["build"]:
        from builder.main import main as build

        sys.exit(build())
    case _:
        sys.exit("usage: python3 -I -S /opt/castari run RUN_FILE | build")
