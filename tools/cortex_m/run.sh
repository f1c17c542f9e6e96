#!/bin/sh
# Builds the check of an exported C model for a Cortex-M3 and runs it on an emulated board:
#     tools/cortex_m/run.sh FOLDER
# FOLDER is what `snn-bench export RUN --format c -o FOLDER` wrote. Needs gcc-arm-none-eabi, its newlib and qemu-system-arm.
# Prints the flash and RAM of the model alone, the check's verdict, and the instructions that it took.
set -eu
folder=$1
here=$(dirname "$0")
name=$(basename "$(ls "$folder"/*_check.c)" _check.c)
target="-mcpu=cortex-m3 -mthumb -O2 -std=c99 -ffunction-sections -fdata-sections"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
arm-none-eabi-gcc $target -Wall -Wextra -Werror -pedantic -c "$folder/$name.c" -o "$work/model.o"
arm-none-eabi-size "$work/model.o" | awk 'NR == 2 { printf "flash %d bytes, RAM %d bytes\n", $1 + $2, $2 + $3 }'
arm-none-eabi-gcc $target -Dmain=check_main "$folder/${name}_check.c" "$here/startup.c" -T "$here/an385.ld" \
    -nostartfiles --specs=rdimon.specs -lc -lrdimon -Wl,--gc-sections -o "$work/check.elf"
qemu-system-arm -M mps2-an385 -cpu cortex-m3 -nographic -monitor none -serial null -icount shift=0 \
    -semihosting-config enable=on,target=native -kernel "$work/check.elf"
