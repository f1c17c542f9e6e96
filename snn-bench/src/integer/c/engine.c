/* The engine: the same operations as snn-int, on the tables above. C99; no allocation, no floating point. */

/* x / 2^shift toward minus infinity; a shift of a negative number is not portable. */
static int64_t floor_shift(int64_t x, unsigned shift)
{
    int64_t unit = (int64_t)1 << shift;
    return x >= 0 ? x / unit : -((-x + unit - 1) / unit);
}

/* x / 2^shift, rounded: 0 toward zero, 1 floor, 2 to nearest with halves to even. */
static int64_t round_shift(int64_t x, unsigned shift, unsigned rounding)
{
    int64_t unit = (int64_t)1 << shift;
    int64_t low = floor_shift(x, shift);
    int64_t rest = x - low * unit;
    if (rounding == 0)
        return low + (x < 0 && rest != 0);
    if (rounding == 1)
        return low;
    return low + (2 * rest > unit || (2 * rest == unit && (low & 1) != 0));
}

/* The low bits as two's complement. */
static int32_t wrapped(int64_t x, unsigned bits)
{
    uint32_t mask = bits == 32 ? UINT32_MAX : ((uint32_t)1 << bits) - 1;
    uint32_t low = (uint32_t)(uint64_t)x & mask;
    uint32_t half = (uint32_t)1 << (bits - 1);
    return low < half ? (int32_t)low : -(int32_t)(mask - low) - 1;
}

static int32_t fit(width_t width, int64_t x)
{
    int64_t half = (int64_t)1 << (width.bits - 1);
    if (width.wraps)
        return wrapped(x, width.bits);
    return (int32_t)(x < -half ? -half : x > half - 1 ? half - 1 : x);
}

static int64_t scaled(scale_t scale, int32_t x)
{
    return round_shift((int64_t)x * scale.mul, scale.shift, scale.rounding);
}

static int64_t leaked(leak_t leak, int32_t v)
{
    int64_t lost;
    switch (leak.kind) {
    case 0:
        return v;
    case 1:
        lost = round_shift(v, leak.scale.shift, leak.scale.rounding);
        if (lost == 0 && leak.tail)
            return (int64_t)v - (v > 0) + (v < 0);
        return v - lost;
    case 2:
        return scaled(leak.scale, v);
    default:
        lost = leak.scale.mul;
        if (v > 0)
            return v > lost ? v - lost : 0;
        return -(int64_t)v > lost ? v + lost : 0;
    }
}

/* A number kept in 1, 2 or 4 bytes. */
static int32_t load(const uint8_t *bytes, unsigned n_bytes, uint32_t i)
{
    uint32_t word = 0;
    unsigned k;
    for (k = 0; k < n_bytes; k++)
        word |= (uint32_t)bytes[i * n_bytes + k] << (8 * k);
    return wrapped((int64_t)word, 8 * n_bytes);
}

static void keep(uint8_t *bytes, unsigned n_bytes, uint32_t i, int32_t x)
{
    unsigned k;
    for (k = 0; k < n_bytes; k++)
        bytes[i * n_bytes + k] = (uint8_t)(((uint32_t)x >> (8 * k)) & 0xff);
}

static int32_t value_of(const layer_t *layer, int32_t code)
{
    if (layer->level_bits)
        return layer->levels[code + ((1 << layer->level_bits) >> 1)];
    return (int32_t)((int64_t)code * ((int64_t)1 << layer->store_shift));
}

static int32_t code_of(const layer_t *layer, int64_t raw)
{
    int32_t n, low, high, middle;
    if (!layer->level_bits)
        return fit(layer->membrane, round_shift(raw, layer->store_shift, layer->store_rounding));
    n = 1 << layer->level_bits;
    low = 0;
    high = n - 1;
    while (low < high) {
        middle = (low + high) / 2;
        if (raw > layer->levels[n + middle])
            low = middle + 1;
        else
            high = middle;
    }
    return low - (n >> 1);
}

static uint32_t spikes_of(const layer_t *layer, int32_t mem, int32_t threshold)
{
    int64_t n;
    int fires = layer->at_or_above ? mem >= threshold : mem > threshold;
    if (layer->max_spikes <= 1 || !fires || threshold <= 0)
        return (uint32_t)(fires && layer->max_spikes);
    n = ((int64_t)mem - !layer->at_or_above) / threshold;
    return n < layer->max_spikes ? (uint32_t)n : layer->max_spikes;
}

static int64_t after_reset(const layer_t *layer, int64_t mem, int32_t threshold, uint32_t spikes)
{
    if (layer->reset == 0)
        return mem - (int64_t)threshold * spikes;
    return layer->reset == 1 && spikes ? layer->reset_value : mem;
}

/* Code i of packed weights, modulo 2^32: lowest bit first; at 1 bit -1 and 1. */
static uint32_t weight(const uint8_t *packed, unsigned bits, uint32_t i)
{
    uint32_t at = i * bits, half = (uint32_t)1 << (bits - 1);
    uint32_t word = (uint32_t)packed[at / 8] >> (at % 8);
    if (at % 8 + bits > 8)
        word |= (uint32_t)packed[at / 8 + 1] << (8 - at % 8);
    if (at % 8 + bits > 16)
        word |= (uint32_t)packed[at / 8 + 2] << (16 - at % 8);
    if (bits == 1)
        return 2 * (word & 1) - 1;
    return ((word & (2 * half - 1)) ^ half) - half;
}

/* Sums are kept modulo 2^32 and read as two's complement. */
static void add_row(const uint8_t *packed, unsigned bits, uint32_t first, uint32_t factor, uint32_t *sums, uint32_t n)
{
    uint32_t i;
    if (bits == 8) {
        packed += first;
        for (i = 0; i < n; i++)
            sums[i] += factor * ((packed[i] ^ 0x80u) - 0x80u);
        return;
    }
    for (i = 0; i < n; i++)
        sums[i] += factor * weight(packed, bits, first + i);
}

static void add_dense(const uint8_t *packed, unsigned bits, const uint8_t *frame, uint32_t n_in, uint32_t *sums,
                      uint32_t n)
{
    uint32_t i;
    for (i = 0; i < n_in; i++)
        if (frame[i])
            add_row(packed, bits, i * n, frame[i], sums, n);
}

static void add_conv(const layer_t *layer, const uint8_t *frame, uint32_t *sums)
{
    const conv_t *conv = &layer->conv;
    uint32_t n = layer->gathered.height * layer->gathered.width * layer->gathered.channels;
    uint32_t group_in = layer->gathered.channels / conv->groups;
    uint32_t group_out = layer->currents.channels / conv->groups;
    uint32_t i, c, x, y, ky, kx, oy, ox, row;
    for (i = 0; i < n; i++) {
        if (!frame[i])
            continue;
        c = i % layer->gathered.channels;
        x = i / layer->gathered.channels % layer->gathered.width;
        y = i / layer->gathered.channels / layer->gathered.width;
        for (ky = 0; ky < conv->kernel[0]; ky++) {
            if (y + conv->padding[0] < ky * conv->dilation[0])
                continue;
            oy = y + conv->padding[0] - ky * conv->dilation[0];
            if (oy % conv->stride[0] || oy / conv->stride[0] >= layer->currents.height)
                continue;
            for (kx = 0; kx < conv->kernel[1]; kx++) {
                if (x + conv->padding[1] < kx * conv->dilation[1])
                    continue;
                ox = x + conv->padding[1] - kx * conv->dilation[1];
                if (ox % conv->stride[1] || ox / conv->stride[1] >= layer->currents.width)
                    continue;
                row = (c * conv->kernel[0] + ky) * conv->kernel[1] + conv->kernel[1] - 1 - kx;
                add_row(layer->weights, layer->weight_bits, row * group_out, frame[i],
                        sums + (oy / conv->stride[0] * layer->currents.width + ox / conv->stride[1])
                                   * layer->currents.channels + c / group_in * group_out,
                        group_out);
            }
        }
    }
}

/* Pools bytes or, where `bytes` is 0, sums. */
static void pooled(const pool_t *pool, frame_t input, frame_t output, const uint8_t *bytes, const uint32_t *sums,
                   uint32_t *to)
{
    uint32_t oy, ox, ky, kx, c, from, at, value;
    for (oy = 0; oy < output.height; oy++)
        for (ox = 0; ox < output.width; ox++)
            for (c = 0; c < output.channels; c++) {
                at = (oy * output.width + ox) * output.channels + c;
                to[at] = pool->kind == 1 ? 0x80000000u : 0;
                for (ky = 0; ky < pool->kernel[0]; ky++)
                    for (kx = 0; kx < pool->kernel[1]; kx++) {
                        from = ((oy * pool->stride[0] + ky) * input.width + ox * pool->stride[1] + kx)
                                   * input.channels + c;
                        value = bytes ? bytes[from] : sums[from];
                        if (pool->kind == 2)
                            to[at] += value;
                        else if ((value ^ 0x80000000u) > (to[at] ^ 0x80000000u)) /* as signed numbers */
                            to[at] = value;
                    }
            }
}

static uint32_t size_of(frame_t frame)
{
    return frame.height * frame.width * frame.channels;
}

/* The sums of the weights that the spikes meet, for each neuron. */
static uint32_t *accumulate(const layer_t *layer, const uint8_t *source)
{
    uint32_t i, n = size_of(layer->currents), n_gathered = size_of(layer->gathered);
    const uint8_t *frame = source;
    if (layer->gather.kind) {
        pooled(&layer->gather, layer->input, layer->gathered, source, 0, sums_buffer);
        for (i = 0; i < n_gathered; i++)
            scratch_buffer[i] = (uint8_t)sums_buffer[i];
        frame = scratch_buffer;
    }
    memset(sums_buffer, 0, n * sizeof sums_buffer[0]);
    if (layer->synapses == 0)
        add_dense(layer->weights, layer->weight_bits, frame, n_gathered, sums_buffer, n);
    else if (layer->synapses == 1)
        add_conv(layer, frame, sums_buffer);
    else {
        pooled(&layer->window, layer->gathered, layer->currents, frame, 0, sums_buffer);
        for (i = 0; i < n; i++)
            sums_buffer[i] *= (uint32_t)layer->sum_weight;
    }
    if (!layer->pool.kind)
        return sums_buffer;
    pooled(&layer->pool, layer->currents, layer->neurons, 0, sums_buffer, sums_buffer + n);
    return sums_buffer + n;
}

static int32_t shared(const int32_t *list, uint32_t n, uint32_t channel)
{
    return list[n == 1 ? 0 : channel];
}

/* One neuron: its sum becomes its membrane at the spike test. */
static void update(const layer_t *layer, uint32_t i, uint32_t *sum)
{
    uint32_t channel = i % layer->neurons.channels;
    int32_t threshold = shared(layer->thresholds, layer->n_thresholds, channel);
    int32_t mem, cur;
    int64_t drive = scaled(layer->scale, wrapped((int64_t)*sum, 32)) + shared(layer->biases, layer->n_biases, channel);
    int64_t base, kept;
    uint32_t spikes = 0;
    if (layer->has_current) {
        cur = fit(layer->current, leaked(layer->current_leak, load(layer->currents_kept, layer->current_bytes, i)) + drive);
        keep(layer->currents_kept, layer->current_bytes, i, cur);
        drive = cur;
    }
    mem = value_of(layer, load(layer->membranes, layer->membrane_bytes, i));
    base = leaked(layer->leak, mem);
    if (layer->fires && layer->reset_late)
        base = after_reset(layer, base, threshold, spikes_of(layer, mem, threshold));
    base += drive;
    if (layer->on_store)
        mem = base < INT32_MIN ? INT32_MIN : base > INT32_MAX ? INT32_MAX : (int32_t)base;
    else
        mem = value_of(layer, code_of(layer, base));
    kept = mem;
    if (layer->fires) {
        spikes = spikes_of(layer, mem, threshold);
        if (!layer->reset_late)
            kept = after_reset(layer, kept, threshold, spikes);
    }
    keep(layer->membranes, layer->membrane_bytes, i, code_of(layer, kept));
    layer->emitted[i] = (uint8_t)spikes;
    *sum = (uint32_t)mem;
}

/* Puts spikes on their way and returns those that arrive now. */
static const uint8_t *delayed(const layer_t *layer)
{
    uint32_t i, n = size_of(layer->neurons), frames = layer->max_delay + 1u;
    uint32_t before = (uint32_t)((now + frames - 1) % frames), steps;
    if (!layer->ring)
        return layer->emitted;
    memset(layer->ring + before * n, 0, n);
    for (i = 0; i < n; i++)
        if (layer->emitted[i]) {
            steps = layer->delays[layer->n_delays == 1 ? 0 : i];
            layer->ring[(uint32_t)((now + steps) % frames) * n + i] = layer->emitted[i];
        }
    return layer->ring + (uint32_t)(now % frames) * n;
}

#ifdef {UP}_TRACE
uint32_t {low}_trace;

static void trace(const layer_t *layer, const uint32_t *sums)
{
    uint32_t i, n = size_of(layer->neurons);
    for (i = 0; i < n; i++) {
        {low}_trace = ({low}_trace ^ sums[i]) * 16777619u;
        {low}_trace = ({low}_trace ^ layer->emitted[i]) * 16777619u;
    }
}
#endif

void {low}_reset(void)
{
    uint32_t l, i, n;
    memset(input_buffer, 0, sizeof input_buffer);
    memset(scores, 0, sizeof scores);
    now = 0;
#ifdef {UP}_TRACE
    {low}_trace = 2166136261u;
#endif
    for (l = 0; l < N_LAYERS; l++) {
        n = size_of(layers[l].neurons);
        for (i = 0; i < n; i++)
            keep(layers[l].membranes, layers[l].membrane_bytes, i, code_of(&layers[l], 0));
        if (layers[l].currents_kept)
            memset(layers[l].currents_kept, 0, n * layers[l].current_bytes);
        memset(layers[l].emitted, 0, n);
        if (layers[l].ring)
            memset(layers[l].ring, 0, (layers[l].max_delay + 1u) * n);
    }
}

int {low}_add_event(uint32_t row, uint32_t column, uint32_t channel)
{
    uint8_t *place;
    if (row >= {UP}_HEIGHT || column >= {UP}_WIDTH || channel >= {UP}_CHANNELS)
        return 0;
    place = &input_buffer[(row * {UP}_WIDTH + column) * {UP}_CHANNELS + channel];
    if (*place < INPUT_MAX)
        (*place)++;
    return 1;
}

void {low}_step(void)
{
    const uint8_t *source = input_buffer;
    uint32_t *sums = sums_buffer;
    uint32_t l, i, n = 0;
    for (l = 0; l < N_LAYERS; l++) {
        n = size_of(layers[l].neurons);
        sums = accumulate(&layers[l], source);
        if (layers[l].recurrent)
            add_dense(layers[l].recurrent, layers[l].recurrent_bits, layers[l].emitted, n, sums, n);
        for (i = 0; i < n; i++)
            update(&layers[l], i, &sums[i]);
#ifdef {UP}_TRACE
        trace(&layers[l], sums);
#endif
        source = delayed(&layers[l]);
    }
    for (i = 0; i < n; i++)
        scores[i] += layers[N_LAYERS - 1].fires ? layers[N_LAYERS - 1].emitted[i] : wrapped((int64_t)sums[i], 32);
    memset(input_buffer, 0, sizeof input_buffer);
    now++;
}

/* Scores lie row, column, channel; outputs are numbered channel, row, column. */
static uint32_t place_of(uint32_t output)
{
    const frame_t frame = layers[N_LAYERS - 1].neurons;
    uint32_t plane = frame.height * frame.width;
    return output % plane * frame.channels + output / plane;
}

int64_t {low}_score(uint32_t output)
{
    return output < {UP}_OUTPUTS ? scores[place_of(output)] : 0;
}

uint32_t {low}_class(void)
{
    uint32_t i, best = 0;
    for (i = 1; i < {UP}_OUTPUTS; i++)
        if ({low}_score(i) > {low}_score(best))
            best = i;
    return best;
}
