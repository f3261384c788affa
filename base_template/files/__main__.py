"""What a sandbox starts: `python3 -I -S /opt/castari run RUN_FILE …`, `standby …`, `output …` or `build`."""

import sys

match sys.argv[1:]:
    case ["run", run_file, *started]:
        from runner.main import main

        sys.exit(main(run_file, *started))
    case ["standby", run_file]:
        from runner.standby import main as stand_by

        sys.exit(stand_by(run_file))
    case ["output", folder, stream, offset, limit, seconds]:
        from runner.live import main as read

        sys.exit(read(folder, stream, int(offset), int(limit), float(seconds)))
    case ["build"]:
        from builder.main import main as build

        sys.exit(build())
    case _:
        sys.exit("usage: castari run RUN_FILE … | standby RUN_FILE | output FOLDER STREAM … | build")
