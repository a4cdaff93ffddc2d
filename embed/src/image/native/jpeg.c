/* Decodes JPEG with libjpeg-turbo's own API. Unlike the TurboJPEG API, it lets a decode be stopped
 * and reports missing data. Only image/jpeg/ffi.rs calls this file.
 *
 * libjpeg reports an error through error_exit, which must not return: it jumps back into the
 * function below that was called. No Rust frame lies in between, because `proceed` returns before
 * anything jumps. */

#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

/* The colour model of the components: decided by libjpeg from the file's markers; grey, RGB or CMYK
 * stored without conversion; YCbCr. */
enum clipdb_jpeg_components { AS_MARKED = 0, PLAIN = 1, CONVERTED = 2 };

enum { DONE = 0, FAILED = 1, STOPPED = 2, TOO_MANY_SCANS = 3 };

struct clipdb_jpeg_header {
  uint32_t width;
  uint32_t height;
  uint32_t components;
  uint32_t precision;
  /* Bytes per pixel of the output: 1 grey, 2 unconverted, 3 RGB, 4 CMYK, 0 not supported. */
  uint32_t channels;
  /* Memory in addition to one row of blocks: all coefficients of a file with several scans. */
  uint64_t coefficient_bytes;
};

struct clipdb_jpeg_outcome {
  /* Number of rows of blocks. */
  uint32_t rows;
  /* Rows of blocks without data, counted in the first scan of a row. */
  uint32_t missing_rows;
  /* Number of scans or restart intervals that ended early. */
  uint32_t short_scans;
  /* The file ended without an end marker. */
  uint32_t no_end;
  /* A scan is missing, so a coefficient is incomplete. */
  uint32_t incomplete;
};

struct clipdb_jpeg {
  struct jpeg_decompress_struct decoder;
  struct jpeg_error_mgr errors;
  struct jpeg_progress_mgr progress;
  jmp_buf escape;
  int status;
  int scan_limit;
  int (*proceed)(void *);
  void *context;
  struct clipdb_jpeg_outcome outcome;
  char message[JMSG_LENGTH_MAX];
};

static struct clipdb_jpeg *of(j_common_ptr common) {
  return (struct clipdb_jpeg *)common->client_data;
}

static void leave(struct clipdb_jpeg *jpeg, int status) {
  jpeg->status = status;
  longjmp(jpeg->escape, 1);
}

static void on_error(j_common_ptr common) {
  struct clipdb_jpeg *jpeg = of(common);
  common->err->format_message(common, jpeg->message);
  leave(jpeg, FAILED);
}

static void on_message(j_common_ptr common, int level) {
  struct clipdb_jpeg *jpeg = of(common);
  struct jpeg_decompress_struct *decoder = &jpeg->decoder;
  if (level >= 0) return;
  common->err->num_warnings++;
  if (common->err->msg_code == JWRN_JPEG_EOF) jpeg->outcome.no_end = 1;
  if (common->err->msg_code != JWRN_HIT_MARKER) return;
  jpeg->outcome.short_scans++;
  /* A row is visible if the first scan of its averages (DC coefficients) has data for it. libjpeg
   * warns once until the next restart marker. */
  if (decoder->Ss == 0 && decoder->Ah == 0) {
    JDIMENSION missing = decoder->total_iMCU_rows - decoder->input_iMCU_row;
    if (decoder->restart_interval > 0 && decoder->MCUs_per_row > 0) {
      JDIMENSION interval = decoder->restart_interval / decoder->MCUs_per_row + 1;
      if (interval < missing) missing = interval;
    }
    if (missing > decoder->total_iMCU_rows - jpeg->outcome.missing_rows)
      missing = decoder->total_iMCU_rows - jpeg->outcome.missing_rows;
    jpeg->outcome.missing_rows += missing;
  }
}

static void no_output(j_common_ptr common) { (void)common; }

static void on_progress(j_common_ptr common) {
  struct clipdb_jpeg *jpeg = of(common);
  if (jpeg->decoder.input_scan_number > jpeg->scan_limit) leave(jpeg, TOO_MANY_SCANS);
  if (!jpeg->proceed(jpeg->context)) leave(jpeg, STOPPED);
}

static int create(struct clipdb_jpeg *jpeg) {
  if (setjmp(jpeg->escape)) return jpeg->status;
  jpeg_create_decompress(&jpeg->decoder);
  return DONE;
}

/* Returns NULL if memory runs out. */
struct clipdb_jpeg *clipdb_jpeg_new(void) {
  struct clipdb_jpeg *jpeg = calloc(1, sizeof *jpeg);
  if (jpeg == NULL) return NULL;
  jpeg->decoder.err = jpeg_std_error(&jpeg->errors);
  jpeg->errors.error_exit = on_error;
  jpeg->errors.emit_message = on_message;
  jpeg->errors.output_message = no_output;
  jpeg->decoder.client_data = jpeg;
  if (create(jpeg) == DONE) return jpeg;
  free(jpeg);
  return NULL;
}

void clipdb_jpeg_free(struct clipdb_jpeg *jpeg) {
  jpeg_destroy_decompress(&jpeg->decoder);
  free(jpeg);
}

const struct clipdb_jpeg_outcome *clipdb_jpeg_outcome(const struct clipdb_jpeg *jpeg) {
  return &jpeg->outcome;
}

const char *clipdb_jpeg_message(const struct clipdb_jpeg *jpeg) { return jpeg->message; }

/* `tables` holds tables that are stored outside of the file, as in a TIFF, or is empty. `data` must
 * stay valid until the decoder is freed. */
int clipdb_jpeg_open(struct clipdb_jpeg *jpeg, const uint8_t *tables, size_t tables_length,
                     const uint8_t *data, size_t length, struct clipdb_jpeg_header *header) {
  struct jpeg_decompress_struct *decoder = &jpeg->decoder;
  if (setjmp(jpeg->escape)) return jpeg->status;
  if (tables_length > 0) {
    jpeg_mem_src(decoder, tables, (unsigned long)tables_length);
    if (jpeg_read_header(decoder, FALSE) != JPEG_HEADER_TABLES_ONLY) jpeg_abort_decompress(decoder);
  }
  jpeg_mem_src(decoder, data, (unsigned long)length);
  jpeg_read_header(decoder, TRUE);
  header->width = decoder->image_width;
  header->height = decoder->image_height;
  header->components = (uint32_t)decoder->num_components;
  header->precision = (uint32_t)decoder->data_precision;
  header->channels = decoder->num_components <= 4 ? (uint32_t)decoder->num_components : 0;
  header->coefficient_bytes = 0;
  if (jpeg_has_multiple_scans(decoder)) {
    for (int i = 0; i < decoder->num_components; i++) {
      jpeg_component_info *component = &decoder->comp_info[i];
      uint64_t across = component->width_in_blocks + component->h_samp_factor;
      uint64_t down = component->height_in_blocks + component->v_samp_factor;
      header->coefficient_bytes += across * down * sizeof(JBLOCK);
    }
  }
  return DONE;
}

/* Writes `header.channels` bytes per pixel to `pixels`, which must have room for all rows. */
int clipdb_jpeg_read(struct clipdb_jpeg *jpeg, uint8_t *pixels,
                     enum clipdb_jpeg_components components, int scan_limit, size_t memory_limit,
                     int (*proceed)(void *), void *context) {
  struct jpeg_decompress_struct *decoder = &jpeg->decoder;
  if (setjmp(jpeg->escape)) return jpeg->status;
  switch (decoder->num_components) {
    case 1:
      decoder->out_color_space = JCS_GRAYSCALE;
      break;
    case 2:
      decoder->jpeg_color_space = JCS_UNKNOWN;
      decoder->out_color_space = JCS_UNKNOWN;
      break;
    case 3:
      if (components == PLAIN) decoder->jpeg_color_space = JCS_RGB;
      if (components == CONVERTED) decoder->jpeg_color_space = JCS_YCbCr;
      decoder->out_color_space = JCS_RGB;
      break;
    default:
      if (components == PLAIN) decoder->jpeg_color_space = JCS_CMYK;
      decoder->out_color_space = JCS_CMYK;
      break;
  }
  jpeg->scan_limit = scan_limit;
  jpeg->proceed = proceed;
  jpeg->context = context;
  jpeg->progress.progress_monitor = on_progress;
  decoder->progress = &jpeg->progress;
  decoder->mem->max_memory_to_use = (long)memory_limit;
  jpeg_start_decompress(decoder);
  size_t stride = (size_t)decoder->output_width * (size_t)decoder->output_components;
  while (decoder->output_scanline < decoder->output_height) {
    JSAMPROW row = pixels + stride * decoder->output_scanline;
    /* The arithmetic decoder replaces missing data with zeros without a warning. */
    if (decoder->arith_code && decoder->unread_marker != 0 && jpeg->outcome.missing_rows == 0 &&
        decoder->restart_interval == 0 && !jpeg_has_multiple_scans(decoder)) {
      jpeg->outcome.missing_rows = decoder->total_iMCU_rows - decoder->input_iMCU_row;
    }
    jpeg_read_scanlines(decoder, &row, 1);
  }
  jpeg->outcome.rows = decoder->total_iMCU_rows;
  for (int i = 0; i < decoder->num_components; i++) {
    if (decoder->comp_info[i].quant_table == NULL) jpeg->outcome.incomplete = 1;
    for (int k = 0; decoder->coef_bits != NULL && k < DCTSIZE2; k++) {
      if (decoder->coef_bits[i][k] != 0) jpeg->outcome.incomplete = 1;
    }
  }
  return DONE;
}
