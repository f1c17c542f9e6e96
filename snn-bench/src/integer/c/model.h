/* {banner} */
#ifndef {UP}_H
#define {UP}_H

#include <stdint.h>

#define {UP}_HEIGHT {height}u
#define {UP}_WIDTH {width}u
#define {UP}_CHANNELS {channels}u
#define {UP}_OUTPUTS {outputs}u

/* Back to rest, scores to 0. Call it before the first step. */
void {low}_reset(void);

/* Adds an event to the input of the next step; 0 if it lies outside of the input. */
int {low}_add_event(uint32_t row, uint32_t column, uint32_t channel);

/* One time step. */
void {low}_step(void);

/* Spikes of an output since the reset, or the sum of its membrane if the last layer does not spike. */
int64_t {low}_score(uint32_t output);

/* The output with the highest score, the first of equals. */
uint32_t {low}_class(void);

#ifdef {UP}_TRACE
/* A hash over all membranes and spikes of all layers since the reset. */
extern uint32_t {low}_trace;
#endif

#endif
