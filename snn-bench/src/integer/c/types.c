/* {banner} */
#include "{low}.h"

#include <string.h>

typedef struct { uint32_t height, width, channels; } frame_t;
typedef struct { uint8_t kind; uint32_t kernel[2], stride[2]; } pool_t; /* 0 none, 1 max, 2 sum */
typedef struct { uint32_t kernel[2], stride[2], padding[2], dilation[2], groups; } conv_t;
typedef struct { uint8_t bits, wraps; } width_t;
typedef struct { int32_t mul; uint8_t shift, rounding; } scale_t;
typedef struct { uint8_t kind; scale_t scale; uint8_t tail; } leak_t; /* 0 none, 1 shift, 2 multiply-shift, 3 constant */

typedef struct {
    frame_t input, gathered, currents, neurons;
    pool_t gather, pool, window;
    uint8_t synapses; /* 0 dense, 1 convolution, 2 sum of a window */
    conv_t conv;
    int32_t sum_weight;
    uint8_t weight_bits, recurrent_bits;
    const uint8_t *weights, *recurrent;
    scale_t scale;
    uint8_t has_current;
    leak_t current_leak;
    width_t current;
    leak_t leak;
    uint8_t level_bits, store_shift, store_rounding;
    width_t membrane;
    uint8_t on_store, fires, at_or_above, reset, reset_late, max_spikes;
    int32_t reset_value;
    const int32_t *thresholds, *biases, *levels;
    uint32_t n_thresholds, n_biases;
    const uint8_t *delays;
    uint32_t n_delays;
    uint8_t max_delay, membrane_bytes, current_bytes;
    uint8_t *membranes, *currents_kept, *emitted, *ring;
} layer_t;

