/* Start of a program on the MPS2 AN385 board (Cortex-M3) as qemu emulates it, with output through semihosting. The check of
   an exported model is the program; SysTick counts while it runs. With `-icount shift=0` an instruction takes 1 ns of the
   board's time, and SysTick, at 25 MHz, counts one tick for 40 instructions. */

#include <stdint.h>
#include <stdio.h>

extern uint32_t _stack_top, _data_load, _data_start, _data_end, _bss_start, _bss_end;
extern void initialise_monitor_handles(void);
extern int check_main(void);
extern void exit(int);

#define SYST_CSR (*(volatile uint32_t *)0xe000e010)
#define SYST_RVR (*(volatile uint32_t *)0xe000e014)
#define SYST_CVR (*(volatile uint32_t *)0xe000e018)

static volatile uint32_t n_wraps;

void on_tick(void)
{
    n_wraps++;
}

void on_fault(void)
{
    for (;;)
        ;
}

void on_reset(void)
{
    uint32_t *from = &_data_load, *to;
    uint64_t ticks;
    int failed;
    for (to = &_data_start; to < &_data_end;)
        *to++ = *from++;
    for (to = &_bss_start; to < &_bss_end;)
        *to++ = 0;
    initialise_monitor_handles();
    SYST_RVR = 0xffffff;
    SYST_CVR = 0;
    SYST_CSR = 7;
    failed = check_main();
    ticks = (uint64_t)n_wraps * 0x1000000u + (0xffffffu - SYST_CVR);
    printf("instructions: about %lu thousand\n", (unsigned long)(ticks * 40 / 1000));
    exit(failed);
}

__attribute__((section(".vectors"), used)) static void *const vectors[16] = {
    &_stack_top, (void *)on_reset, (void *)on_fault, (void *)on_fault, (void *)on_fault, (void *)on_fault,
    (void *)on_fault, 0, 0, 0, 0, (void *)on_fault, (void *)on_fault, 0, (void *)on_fault, (void *)on_tick,
};
