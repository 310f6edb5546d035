// Every kernel of items and of rows, and every program of a block, once: cpu/launch.cpp and the CUDA half instantiate
// the same lists.
#pragma once

#include "kernels/align.hpp"
#include "kernels/detections.hpp"
#include "kernels/finish.hpp"
#include "kernels/heads.hpp"
#include "kernels/letterbox.hpp"
#include "kernels/quality.hpp"
#include "kernels/scene.hpp"
#include "kernels/search.hpp"
#include "kernels/shortlist.hpp"

#define PYLFR_FOR_EACH_KERNEL(instantiate)         \
    instantiate(CropRgb);                          \
    instantiate(DecodeScrfd);                      \
    instantiate(DecodeYunet);                      \
    instantiate(FinishConvolution<float>);         \
    instantiate(FinishConvolution<std::uint16_t>); \
    instantiate(FitSimilarity);                    \
    instantiate(Letterbox);                        \
    instantiate(MeasureScene);                     \
    instantiate(PickAnchors);                      \
    instantiate(ScoreScrfd);                       \
    instantiate(ScoreYunet);                       \
    instantiate(Warp);

#define PYLFR_FOR_EACH_ROW_KERNEL(instantiate) \
    instantiate(Normalise);                    \
    instantiate(Quantise);                     \
    instantiate(ScoreAgain);                   \
    instantiate(ScoreAll);

#define PYLFR_FOR_EACH_PROGRAM(instantiate) \
    instantiate(LetterboxTiles);            \
    instantiate(MeasureQuality);            \
    instantiate(MergeLists);                \
    instantiate(SuppressDoubles);
